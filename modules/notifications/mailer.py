"""Handing mail over: to a server by SMTP, or into files where there is none.

Trouble of the server is no fault of a message, which then waits: `Unavailable`. A message that the
server refuses for good (5xx for its recipient or its content) is `MailRefused`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Final, Protocol

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from core.plugin import Unavailable
from modules.notifications.patience import Patience
from modules.notifications.settings import NotificationsSettings

PERMANENT: Final = 500
"""Reply codes from here on are for good (RFC 5321, 4.2.1)."""
TOO_LARGE: Final = 552
QUIT_SECONDS: Final = 2.0


class MailRefused(Exception):
    """The mail server refuses this very message for good; the text is what it said."""


class Mailer(Protocol):
    """Where mail goes."""

    async def send(self, message: EmailMessage) -> None:
        """Hand the message over. Raises Unavailable, MailRefused."""
        ...


class SmtpMailer:
    """Sends through a server, one connection a message.

    A message that the server has put off (4xx), and a server that is away, are left alone for a
    while: tried at every look they would be a nuisance to each other.
    """

    def __init__(self, settings: NotificationsSettings, *, within: float) -> None:
        """Each message is given up after `within` seconds, and waits then."""
        self._settings = settings
        self._within = within
        self._server = Patience(first=1.0, longest=30.0)
        self._messages = Patience(first=1.0, longest=300.0)
        self._where = f"the mail server {settings.smtp_host}:{settings.port}"

    async def send(self, message: EmailMessage) -> None:
        name = str(message["Message-ID"])
        self._server.check(self._where, f"{self._where} was away a moment ago")
        self._messages.check(name, f"{self._where} has put off {name}")
        client = self._client()
        try:
            with self._trouble(name):
                async with asyncio.timeout(self._within):
                    await client.connect()
                    await client.sendmail(*_envelope(message), message.as_bytes())
            self._server.forget(self._where)
            self._messages.forget(name)
            await _quit(client)
        finally:
            client.close()

    def _client(self) -> SMTP:
        chosen = self._settings
        return SMTP(
            hostname=chosen.smtp_host,
            port=chosen.port,
            username=chosen.username or None,
            password=chosen.password.get_secret_value() or None,
            use_tls=chosen.encryption == "tls",
            start_tls=chosen.encryption == "starttls",
            timeout=self._within,
        )

    @contextlib.contextmanager
    def _trouble(self, name: str) -> Iterator[None]:
        """What goes wrong inside, as what it means for the message."""
        try:
            yield
        except (SMTPException, OSError) as error:
            said = _said(error) or f"no answer within {self._within:g} s"
            code = _code_for_this_message(error)
            if code >= PERMANENT:
                raise MailRefused(f"{self._where} said {said}") from error
            if code:
                self._messages.put_off(name)
            else:
                self._server.put_off(self._where)
            text = "Mail cannot be sent just now."
            raise Unavailable(text, for_operators=f"{self._where}: {said}") from error


class FileMailer:
    """Writes each message to a file of its own, named after its Message-ID."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, message: EmailMessage) -> None:
        try:
            await asyncio.to_thread(self._write, message)
        except OSError as error:
            told = f"{self._folder}: {error.strerror or error}"
            raise Unavailable("Mail cannot be written just now.", for_operators=told) from error

    def _write(self, message: EmailMessage) -> None:
        """All of it or nothing; twice the same message is one file."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = str(message["Message-ID"]).strip("<>").replace("/", "_")
        handle, temporary = tempfile.mkstemp(dir=self._folder, suffix=".part")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(message.as_bytes())
            os.replace(temporary, self._folder / f"{name}.eml")  # noqa: PTH105 (of two texts)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise


def mailer_of(settings: NotificationsSettings, *, handler_seconds: float) -> Mailer:
    """The mailer that the settings ask for.

    It gives a message up well before the time limit of handlers, which would count as a failure of
    the message.
    """
    if not settings.smtp_host:
        return FileMailer(settings.folder)
    return SmtpMailer(settings, within=min(settings.timeout_seconds, handler_seconds / 2))


def _envelope(message: EmailMessage) -> tuple[str, list[str]]:
    sender, recipient = (parseaddr(str(message[name]))[1] for name in ("From", "To"))
    return sender, [recipient]


def _code_for_this_message(error: Exception) -> int:
    """The server's answer to this recipient or this content; 0 when it is about something else.

    That it is down, knows no TLS, or will not have our password or our sender concerns every
    message: those wait until somebody has put it right.
    """
    if isinstance(error, SMTPRecipientsRefused):
        return error.recipients[0].code
    if isinstance(error, SMTPDataError) or (
        isinstance(error, SMTPSenderRefused) and error.code == TOO_LARGE
    ):
        return error.code
    return 0


def _said(error: Exception) -> str:
    if isinstance(error, SMTPRecipientsRefused):
        error = error.recipients[0]
    if isinstance(error, SMTPResponseException):
        return f"{error.code} {error.message}"
    if isinstance(error, TimeoutError):
        return ""
    return str(error) or type(error).__name__


async def _quit(client: SMTP) -> None:
    """Politeness; the message is the server's already, whatever becomes of this."""
    with contextlib.suppress(SMTPException, OSError):
        async with asyncio.timeout(QUIT_SECONDS):
            await client.quit()
