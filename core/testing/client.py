"""A client of one version, and how the kit says who calls."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from fastapi.testclient import TestClient
from httpx2 import Request
from starlette.requests import HTTPConnection
from starlette.testclient import WebSocketTestSession

from core.identity import Principal

if TYPE_CHECKING:
    from core.testing.app import RunningApp

HEADER: Final = "x-tessera-kit-principal"
"""Where a client of the kit says who calls; only applications of the kit know it."""


async def kit_authenticator(connection: HTTPConnection) -> Principal | None:
    """Whoever the kit's client says; asked before the authenticators of modules."""
    said = connection.headers.get(HEADER)
    if said is None:
        return None
    fields = json.loads(said)
    return Principal(fields["id"], fields["role"], frozenset(fields["permissions"]))


def _header_of(principal: Principal) -> str:
    fields = {
        "id": principal.id,
        "role": principal.role,
        "permissions": sorted(principal.permissions),
    }
    return json.dumps(fields)


class Client(TestClient):
    """Requests to one version of a `RunningApp`: ``client.get("/points")`` asks /v1/points.

    An httpx client otherwise. Requests may come from several threads at once. `version` is the one
    that it talks to; None at the root.
    """

    def __init__(
        self, app: RunningApp, version: str | None, *, principal: Principal | None = None
    ) -> None:
        self._prefix = f"/{version}" if version else ""
        super().__init__(app.asgi, base_url=f"http://testserver{self._prefix}")
        self.portal = app.portal
        self.auth = self._sign
        self._running = app
        self.version = version
        self._principal = principal

    def __enter__(self) -> Self:
        """The client itself: its application runs already, and goes on afterwards."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client, not the application."""
        self.close()

    def as_user(
        self,
        role: str = "user",
        permissions: Collection[str] | None = None,
        id: int = 1,  # the name that `Principal` gives it
    ) -> Client:
        """Another client of the same version whose requests all come from that principal.

        `permissions` None means those of the role. Raises LookupError for a permission that no
        enabled module declares.
        """
        principal = self._running.principal(role, permissions=permissions, id=id)
        return Client(self._running, self.version, principal=principal)

    def websocket_connect(
        self, url: str, subprotocols: Sequence[str] | None = None, **kwargs: Any
    ) -> WebSocketTestSession:
        """A socket below the client's version; use it with ``with``."""
        return super().websocket_connect(self._prefix + url, subprotocols, **kwargs)

    def _sign(self, request: Request) -> Request:
        principal = self._principal or self._running.signed_in
        if principal is not None:
            request.headers[HEADER] = _header_of(principal)
        return request
