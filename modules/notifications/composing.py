"""Writing mail: templates become a message of a text and an HTML part."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from modules.notifications.headers import POLICY

TEMPLATES = Path(__file__).parent / "templates"


class Composer:
    """Writes the mails of one deployment."""

    def __init__(self, *, sender: Address, house: str) -> None:
        """`house` is how the deployment calls itself."""
        self._sender = sender
        self.house = house
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._templates.filters["one_line"] = one_line

    def compose(
        self,
        template: str,
        *,
        name: str,
        email: str,
        subject: str,
        effect_id: str,
        values: Mapping[str, Any],
    ) -> EmailMessage:
        """A mail whose Message-ID is made from `effect_id`: the same however often it is sent.

        It goes to `email`, whom it calls `name`. What others wrote may stand in `name`, `subject`
        and `values`: headers are put on one line, and the HTML part escapes it.
        """
        local, _, domain = email.rpartition("@")
        message = EmailMessage(policy=POLICY)
        message["Message-ID"] = f"<{effect_id}@{self._sender.domain}>"
        message["Date"] = datetime.now(UTC)
        message["From"] = self._sender
        message["To"] = Address(one_line(name), local, domain)
        message["Subject"] = one_line(subject)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
        shown = {"house": self.house, "subject": subject, **values}
        message.set_content(self._rendered(f"{template}.txt", shown))
        message.add_alternative(self._rendered(f"{template}.html", shown), subtype="html")
        return message

    def _rendered(self, name: str, values: Mapping[str, Any]) -> str:
        return self._templates.get_template(name).render(values)


def one_line(text: str) -> str:
    """The same without line breaks and control characters, which a header cannot hold."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
