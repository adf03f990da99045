"""How large a request's body may be; a request without one pays nothing for the question."""

from __future__ import annotations

from starlette.exceptions import HTTPException
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
            return self._counted(app)
        if not value.isdigit():
            return _refusal(BadRequest("Content-Length is not a number."))
        if int(value) <= self.max_bytes:
            return app  # the server holds a body to the length that it announced
        return _refusal(self._too_large())

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"At most {self.max_bytes} bytes are accepted.")

    def _counted(self, app: ASGIApp) -> ASGIApp:
        """`app`, which gets no more than so many bytes, and whose refusal waits for the rest."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            body = _Body(receive, self.max_bytes)
            replaced = False

            async def send_after_body(message: Message) -> None:
                nonlocal replaced
                if message["type"] == "http.response.start" and message["status"] >= 400:
                    await body.drain()
                    replaced = body.is_too_large
                    if replaced:
                        await problem_response(self._too_large(), scope)(scope, receive, send)
                if not replaced:
                    await send(message)

            await app(scope, body.receive, send_after_body)

        return answer


class _Body:
    """Counts what comes of a body whose length was not told."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive, self._max_bytes = receive, max_bytes
        self._count, self._more = 0, True

    @property
    def is_too_large(self) -> bool:
        return self._count > self._max_bytes

    async def receive(self) -> Message:
        message = await self._receive()
        self._count += len(message.get("body", b""))
        self._more = message.get("more_body", False)
        if self.is_too_large:
            raise HTTPException(PayloadTooLarge.status)
        return message

    async def drain(self) -> None:
        """Read and drop the rest."""
        while self._more and self._count < DRAIN_BYTES:
            message = await self._receive()
            self._count += len(message.get("body", b""))
            self._more = message.get("more_body", False)


def _refusal(problem: Problem) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _Body(receive, 0).drain()
        await problem_response(problem, scope)(scope, receive, send)

    return answer
