"""Bodies of auth in v2."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from core.plugin import Schema, Text, UtcTime
from modules.users.contracts import Email, Name, Password


class User(Schema):
    """A user."""

    id: int
    name: str
    email: str
    role: str
    is_active: bool
    created_at: UtcTime


class Registration(Schema):
    """What somebody needs to become a user."""

    name: Name
    email: Email
    password: Password


class LoginForm(Schema):
    """The form of OAuth2's password grant (RFC 6749, 4.3.2); `username` is the e-mail address."""

    username: Annotated[Text, StringConstraints(min_length=1, max_length=320)]
    # No least length: passwords from before the rules of today sign in too.
    password: Annotated[Text, StringConstraints(min_length=1, max_length=1024)]
    grant_type: Literal["password"] = "password"
    scope: Annotated[Text, Field(max_length=1000)] = ""
    client_id: Annotated[Text, Field(max_length=1000)] | None = None
    client_secret: Annotated[Text, Field(max_length=1000)] | None = None


class RefreshToken(Schema):
    """A refresh token."""

    refresh_token: Annotated[Text, StringConstraints(min_length=1, max_length=512)]


GivenOut = Annotated[str, Field(json_schema_extra={"x-secret": "meant"})]
"""A secret that the caller has asked for; without this word `tessera check` would object."""


class Tokens(Schema):
    """What a sign-in gives; `expires_in` is the access token's life in seconds (RFC 6749, 5.1)."""

    access_token: GivenOut
    refresh_token: GivenOut
    token_type: str
    expires_in: int
