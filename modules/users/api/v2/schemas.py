"""Bodies of users in v2."""

from pydantic import Field, StrictBool

from core.plugin import Schema, UtcTime
from modules.users.contracts import Email, Name, Password, Role


class User(Schema):
    """A user."""

    id: int
    name: str
    email: str
    role: str
    is_active: bool
    created_at: UtcTime


class NewUser(Schema):
    """What a new user needs; without a password it cannot sign in until it has one."""

    name: Name
    email: Email
    password: Password | None = None
    role: Role = "user"


class UserReplacement(Schema):
    """All that a user may set of itself."""

    name: Name
    email: Email


class UserChanges(Schema):
    """What is to be changed; a field that is not sent stays as it is, and none may be null."""

    name: Name = Field(default_factory=str)  # never read: model_fields_set says what was sent
    email: Email = Field(default_factory=str)


class RoleChange(Schema):
    """The role that a user shall have."""

    role: Role


class ActiveChange(Schema):
    """Whether a user may sign in."""

    active: StrictBool
