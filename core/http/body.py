"""How large a request's body may be; a request without one pays nothing for the question."""

from __future__ import annotations

from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import BadRequest, PayloadTooLarge, Problem
from core.http.problems import problem_response

BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
DRAIN_BYTES = 64 * 2**20
"""How much of a body that is too large is read and dropped before the answer.

A caller that is still sending when the connection closes sees a reset instead of the 413.
"""


class BodyLimit:
    """Refuses bodies above `max_bytes`: at once when the length is told, else while they come."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes

    def guard(self, app: ASGIApp, name: bytes, value: bytes) -> ASGIApp:
        """`app` behind the limit, for a request with this Content-Length or Transfer-Encoding."""
        if name != b"content-length":
            return _draining(RequestBodyLimitMiddleware(app, max_body_size=self.max_bytes))
        if not value.isdigit():
            return _refusal(BadRequest("Content-Length is not a number."))
        if int(value) <= self.max_bytes:
            return app  # the server holds a body to the length that it announced
        return _refusal(PayloadTooLarge(f"At most {self.max_bytes} bytes are accepted."))


def _refusal(problem: Problem) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _drain(receive)
        await problem_response(problem, scope)(scope, receive, send)

    return answer


def _draining(app: ASGIApp) -> ASGIApp:
    """`app`, whose 413 waits until the caller has sent the rest."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        more = scope["type"] == "http"

        async def receive_and_note() -> Message:
            nonlocal more
            message = await receive()
            more = message.get("more_body", False)
            return message

        async def send_after_body(message: Message) -> None:
            if more and message.get("status") == PayloadTooLarge.status:
                await _drain(receive_and_note)
            await send(message)

        await app(scope, receive_and_note, send_after_body)

    return answer


async def _drain(receive: Receive) -> None:
    dropped = 0
    while dropped < DRAIN_BYTES:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
        dropped += len(message.get("body", b""))
