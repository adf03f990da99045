"""What is not even HTTP is answered with a problem document, too, and with the usual headers.

uvicorn answers such bytes itself, in plain text, before any application sees them.
"""

from __future__ import annotations

import uuid

from starlette.types import Scope
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from core.errors import BadRequest
from core.http.edge import API_POLICY, SECURITY_HEADERS
from core.http.problems import problem_response
from core.request import SCOPE_REQUEST, RequestInfo


class HttpProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen while importing
    """uvicorn's own, httptools where it is installed, but for its answer to broken requests."""

    def send_400_response(self, msg: str) -> None:
        """Answer and close; `msg` is uvicorn's word on what is wrong."""
        self.transport.write(bad_request(msg))
        self.transport.close()


def bad_request(detail: str) -> bytes:
    """A whole HTTP/1.1 response with status 400."""
    info = RequestInfo(request_id=uuid.uuid4().hex, method="", path="")
    scope: Scope = {SCOPE_REQUEST: info, "path": ""}
    response = problem_response(BadRequest(detail), scope)
    headers = [
        *response.raw_headers,
        *SECURITY_HEADERS,
        API_POLICY,
        (b"x-request-id", info.id.encode()),
        (b"x-process-time", b"0.000000"),
        (b"connection", b"close"),
    ]
    lines = [b"HTTP/1.1 400 Bad Request", *(b"%s: %s" % header for header in headers), b"", b""]
    return b"\r\n".join(lines) + bytes(response.body)
