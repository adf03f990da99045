"""Handing mail over: to a server by SMTP, or into files where there is none.

Trouble of the server is no fault of a message, which then waits: `Unavailable`. A message that the
server refuses for good (5xx for its recipient or its content) is `MailRefused`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
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

    A server that is away, and a message that it puts off (4xx) or goes silent over, are left alone
    for a while, each by itself: tried at every look they would be a nuisance to each other.
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
        self._server.check(self._where)
        self._messages.check(name, only_this=True)
        client = self._client()
        try:
            ends = asyncio.get_running_loop().time() + self._within
            async with self._trouble(self._server, self._where, ends):
                await client.connect()
            async with self._trouble(self._messages, name, ends):
                await client.sendmail(*_envelope(message), message.as_bytes())
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

    @contextlib.asynccontextmanager
    async def _trouble(self, patience: Patience, name: str, ends: float) -> AsyncIterator[None]:
        """What goes wrong inside, as what it means; `name` is left alone for a while then.

        `ends` is when it has taken too long, by the clock of the loop.
        """
        try:
            async with asyncio.timeout_at(ends):
                yield
        except (SMTPException, OSError) as error:
            said = _said(error) or f"no answer within {self._within:g} s"
            if _is_for_good(error):
                raise MailRefused(f"{self._where} said {said}") from error
            why = f"{self._where}: {said}"
            raise Unavailable(
                "Mail cannot be sent just now.",
                retry_after=patience.put_off(name, why),
                for_operators=why,
                only_this=patience is self._messages,
            ) from error
        else:
            patience.forget(name)


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


def _is_for_good(error: Exception) -> bool:
    """Whether the server will have nothing of this recipient or this content.

    That it is down, knows no TLS, or will not have our password or our sender concerns every
    message: those wait until somebody has put it right.
    """
    if isinstance(error, SMTPRecipientsRefused):
        return error.recipients[0].code >= PERMANENT
    if isinstance(error, SMTPSenderRefused):
        return error.code == TOO_LARGE
    return isinstance(error, SMTPDataError) and error.code >= PERMANENT


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
