"""The settings of notifications: ``[modules.notifications]``."""

from __future__ import annotations

from email.errors import ObsoleteHeaderDefect
from email.headerregistry import Address, HeaderRegistry
from email.utils import quote
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from modules.users.contracts import normalise_email

Encryption = Literal["starttls", "tls", "none"]
PORTS: dict[Encryption, int] = {"starttls": 587, "tls": 465, "none": 25}


class NotificationsSettings(BaseModel):
    """Where mail goes: to a server, or without one into files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    smtp_host: str = Field(
        "", description="mail server; empty: each mail becomes a file in `folder`"
    )
    smtp_port: int | None = Field(
        None, ge=1, le=65535, description="left out: 587, with tls 465, with none 25"
    )
    encryption: Encryption = Field(
        "starttls", description="starttls, tls (from the first byte), or none"
    )
    username: str = Field("", description="who signs in at the mail server; empty: nobody does")
    password: SecretStr = Field(SecretStr(""), description="its password")
    sender: str = Field(
        "", description="address that mail comes from, such as Shop <shop@shop.example>"
    )
    timeout_seconds: float = Field(
        10.0, gt=0, le=300, description="longest that handing over one mail may take"
    )
    folder: Path = Field(Path("var/mail"), description="where mail lies without a mail server")

    @field_validator("sender")
    @classmethod
    def _is_an_address(cls, sender: str) -> str:
        if sender:
            address_of(sender)
        return sender

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.smtp_host and not self.sender:
            raise ValueError("smtp_host needs a sender: the address that mail comes from")
        if bool(self.username) != bool(self.password.get_secret_value()):
            raise ValueError("username and password are given both or neither")
        return self

    @property
    def port(self) -> int:
        """The port of the mail server."""
        return self.smtp_port or PORTS[self.encryption]


def address_of(text: str, *, name: str = "") -> Address:
    """The one address in ``a@b.example`` or ``Name <a@b.example>``, called `name` without a name.

    Raises ValueError when the text is anything else or more, or the address one that no user could
    have.
    """
    try:
        found = _read(text)
        normalise_email(found.addr_spec)
    except Exception as error:  # Python's parser stumbles over some texts: IndexError of "shop@"
        raise ValueError(
            f"no mail address, or not just one: {text!r}; such as shop@shop.example, "
            'Shop <shop@shop.example> or "Shop, Inc." <shop@shop.example>'
        ) from error
    return Address(found.display_name or name, found.username, found.domain)


def _read(text: str) -> Address:
    """The address; ValueError where a reader would drop or change a part of the text."""
    header: Any = HeaderRegistry()("From", text)
    found: Address
    [found] = header.addresses
    if not all(isinstance(it, ObsoleteHeaderDefect) for it in header.defects):
        raise ValueError("not by the rules")  # a full stop in a name is but obsolete: Shop Ltd.
    name, spec = found.display_name, found.addr_spec
    forms = spec, f"<{spec}>", f"{name}<{spec}>", f'"{quote(name)}"<{spec}>'
    if spec not in text or _bare(text) not in map(_bare, forms):
        raise ValueError("not as it stands there")
    return found


def _bare(text: str) -> str:
    return "".join(text.split())
