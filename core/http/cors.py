"""CORS, behind the edge: a preflight too has a request id, a time and security headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import BadRequest
from core.http.problems import problem_response
from core.request import SCOPE_REQUEST, current_request

if TYPE_CHECKING:
    from core.settings import CorsSettings

SCOPE_TARGET = "tessera.target"
EXPOSED = ["X-Request-ID", "X-Process-Time", "Deprecation", "Sunset", "Link", "Retry-After"]
"""Headers that a script of another origin may read."""


class Cors(CORSMiddleware):
    """Starlette's, once for the process; what answers is found in each request's scope."""

    def __init__(self, settings: CorsSettings) -> None:
        super().__init__(
            _target,
            allow_origins=list(settings.allowed_origins),
            allow_credentials=settings.allow_credentials,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )

    def guard(self, app: ASGIApp) -> ASGIApp:
        """`app` behind CORS, for a request that names an origin."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            scope[SCOPE_TARGET] = app
            await self(scope, receive, send)

        return guarded

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a preflight; a refusal is a problem like any other."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        info = current_request.get()
        detail = bytes(answer.body).decode()
        scope = {SCOPE_REQUEST: info, "path": info.path if info else ""}
        refusal = problem_response(BadRequest(f"{detail}; see cors.allowed_origins."), scope)
        refusal.headers["Vary"] = "Origin"
        return refusal


async def _target(scope: Scope, receive: Receive, send: Send) -> None:
    await scope[SCOPE_TARGET](scope, receive, send)
