"""Where a piece of work belongs: the ``traceparent`` of W3C Trace Context, carried through events.

A request brings one or begins one; an event that is recorded keeps it; whoever handles the event
works under it, and what the handler records keeps it in turn. So one trace tells of a request and
of everything that followed from it, on any machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from core.request import current_request

_SANE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_handled: ContextVar[str | None] = ContextVar("handled_traceparent", default=None)


def traceparent() -> str:
    """The current trace as a header's value: of the event being handled, else of the request.

    A request without a sane one begins a trace of its own; where its id is one of ours (32
    hexadecimal digits), that is the trace's id too, so that logs and traces meet.
    """
    handled = _handled.get()
    if handled is not None:
        return handled
    request = current_request.get()
    if request is None:
        return _begun(os.urandom(16).hex())
    if request.traceparent is None:
        known = _TRACE_ID.fullmatch(request.id)
        request.traceparent = _begun(request.id if known else os.urandom(16).hex())
    return request.traceparent


def handled() -> str | None:
    """The trace of the event that is being handled just now, if there is one."""
    return _handled.get()


def sane(header: bytes | str | None) -> str | None:
    """A traceparent as it came from outside; None when it is missing or malformed."""
    if header is None:
        return None
    text = header.decode("latin-1") if isinstance(header, bytes) else header
    return text if _SANE.fullmatch(text) else None


@contextmanager
def handling(header: str | None) -> Iterator[None]:
    """While the block runs, the current trace is that of an event."""
    token = _handled.set(header)
    try:
        yield
    finally:
        _handled.reset(token)


def _begun(trace_id: str) -> str:
    return f"00-{trace_id}-{os.urandom(8).hex()}-01"
