"""Who calls, by the bearer token of the request."""

from __future__ import annotations

from typing import Any, ClassVar

from starlette.requests import HTTPConnection

from core.plugin import Context, Principal
from modules.auth.contracts import InvalidToken
from modules.auth.tokens import AccessTokens
from modules.users.contracts import Users


class BearerAuthenticator:
    """Reads ``Authorization: Bearer …`` and asks users whether it still counts.

    Role and activity come from the database each time, not from the token: whoever is deactivated
    or demoted is so at once.
    """

    scheme: ClassVar[dict[str, Any]] = {
        "type": "oauth2",
        "flows": {
            "password": {"tokenUrl": "auth/login", "refreshUrl": "auth/refresh", "scopes": {}}
        },
    }

    def __init__(self, context: Context, *, tokens: AccessTokens, users: Users) -> None:
        self._context = context
        self._tokens = tokens
        self._users = users

    async def __call__(self, connection: HTTPConnection, /) -> Principal | None:
        """The caller; None without a bearer token. Raises InvalidToken."""
        scheme, _, text = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        access = self._tokens.read(text.strip())
        async with self._context.read() as session:
            standing = await self._users.standing(session, access.user_id)
        if standing is None or not standing.is_active or standing.epoch != access.epoch:
            raise InvalidToken("What this token stands for has ended; sign in again.")
        return Principal(
            id=access.user_id,
            role=standing.role,
            permissions=self._context.permissions_of(standing.role),
        )
