"""What is known of the request being served: one small object, for log, metrics and errors."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

SCOPE_REQUEST = "tessera.request"
_SANE = re.compile(r"[A-Za-z0-9._:\-]{1,128}")


class RequestInfo:
    """Filled while the request is served; read at its end, and by every log line on the way."""

    __slots__ = (
        "id",
        "method",
        "module",
        "path",
        "route",
        "status",
        "traceparent",
        "user",
        "version",
    )

    def __init__(
        self, *, request_id: str, method: str, path: str, traceparent: str | None = None
    ) -> None:
        self.id = request_id
        self.method = method
        self.path = path
        self.status = 0
        self.traceparent = traceparent
        self.version: str | None = None
        self.module: str | None = None
        self.route: str | None = None
        self.user: int | None = None


current_request: ContextVar[RequestInfo | None] = ContextVar("current_request", default=None)


def request_id_from(header: bytes | None) -> str:
    """The caller's X-Request-ID when it is sane (128 plain characters at most), else a new one."""
    if header is not None:
        text = header.decode("latin-1")
        if _SANE.fullmatch(text):
            return text
    return os.urandom(16).hex()  # a quarter of what uuid4 costs, and as random


def log_request_context(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor: request id, module, route and user on every line of a request."""
    info = current_request.get()
    if info is not None:
        event.setdefault("request_id", info.id)
        for name in ("version", "module", "route", "user"):
            value = getattr(info, name)
            if value is not None:
                event.setdefault(name, value)
    return event
