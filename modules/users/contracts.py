"""What other modules may know of users, and the port behind which their passwords are kept."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, Field, StringConstraints

from core.plugin import Conflict, NotFound, Session, Text, WritableSession

ADMIN = "admin"
Role = Literal["user", "moderator", "admin"]

EMAIL_MAX = 254
_EMAIL = re.compile(  # what a browser's <input type="email"> accepts (WHATWG HTML, 4.10.5.1.5)
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+"
    r"@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*"
)


def normalise_email(text: str) -> str:
    """The one form in which an address is kept and compared: trimmed, in lower case.

    Raises ValueError when it is no address. Letters beyond ASCII are refused: two addresses that
    look the same must be the same.
    """
    email = text.strip()
    if len(email) > EMAIL_MAX or not email.isascii():
        raise ValueError("not an e-mail address")
    email = email.lower()
    if not _EMAIL.fullmatch(email):
        raise ValueError("not an e-mail address")
    return email


Email = Annotated[
    str,
    Field(max_length=EMAIL_MAX, json_schema_extra={"format": "email"}),
    AfterValidator(normalise_email),
]
"""An e-mail address in a body; arrives in its one form."""

Name = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
"""What a person is called: 1 to 200 characters that are not all blank."""

Password = Annotated[Text, StringConstraints(min_length=8, max_length=128)]
"""A new password: 8 to 128 characters (NIST SP 800-63B asks for no more rules than a length)."""


@dataclass(frozen=True, slots=True)
class UserDTO:
    """A user as others see one."""

    id: int
    name: str
    email: str
    role: str
    is_active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What must hold for a token to count.

    ``epoch`` grows whenever all that was signed in before must stop: a token of an earlier epoch
    is worth nothing, also after the user was activated again.
    """

    role: str
    is_active: bool
    epoch: int


class UserNotFound(NotFound):
    """There is no user with this id."""

    slug = "user-not-found"
    title = "No such user"


class EmailTaken(Conflict):
    """Another user has this e-mail address. Sign in as that user, or give another address."""

    slug = "email-taken"
    title = "The e-mail address is taken"


class LastAdmin(Conflict):
    """This user is the last active admin. Make somebody else admin first."""

    slug = "last-admin"
    title = "The last admin must stay"


class Users(Protocol):
    """The users, for other modules."""

    async def get(self, session: Session, user_id: int) -> UserDTO | None:
        """The user with that id, or None."""
        ...

    async def by_email(self, session: Session, email: str) -> UserDTO | None:
        """The user with that address in whatever case, or None."""
        ...

    async def ids_by_email(self, session: Session, emails: Collection[str]) -> dict[str, int]:
        """{address as it was given: user id} of those that are known."""
        ...

    async def standing(self, session: Session, user_id: int) -> Standing | None:
        """Role, activity and epoch; asked on every request with a token, so it reads just these."""
        ...

    async def register(
        self, session: WritableSession, *, name: str, email: str, role: str = "user"
    ) -> UserDTO:
        """A new user. Raises EmailTaken; the transaction of `session` can still be used then."""
        ...


class CredentialStore(Protocol):
    """A port of this module: whoever keeps passwords (auth does) offers a service of this type."""

    async def hash(self, password: str) -> str:
        """The hash of a password. Slow and off the loop: call it before the session is used."""
        ...

    async def set_password(
        self, session: WritableSession, user_id: int, password_hash: str
    ) -> None:
        """Let the user sign in with the password of that hash, and with no other."""
        ...

    async def has_password(self, session: Session, user_id: int) -> bool:
        """Whether the user can sign in with one; False for an account that got none."""
        ...

    async def revoke(self, session: WritableSession, user_id: int) -> None:
        """End all that the user has signed in; nothing of it can be refreshed."""
        ...

    async def forget(self, session: WritableSession, user_id: int) -> None:
        """Delete all that is known: the user is being deleted."""
        ...
