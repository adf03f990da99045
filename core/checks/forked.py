"""A stranger's function in a fork: it may end its process, or never return."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


class ForkFailure(Exception):
    """It gave nothing; the text says why."""


def in_a_fork(function: Callable[[], T], *, seconds: float) -> T:
    """What a function gives that is called in a fork of this process; it must be picklable.

    Raises ForkFailure for what the function raised as that, when it ended the process, and when it
    did not return in time.
    """
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(out)
        _answer(function, into)
    os.close(into)
    with os.fdopen(out, "rb") as told:
        answer = _read(told.fileno(), time.monotonic() + seconds)
    if answer is None:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if answer is None:
        raise ForkFailure(f"it did not return within {seconds:.0f} s")
    if not answer:
        code = os.waitstatus_to_exitcode(status)
        ending = f"exit code {code}" if code >= 0 else f"signal {-code}"
        raise ForkFailure(f"it ended the whole process ({ending})")
    good, value = pickle.loads(answer)  # noqa: S301 - from our own fork
    if not good:
        raise ForkFailure(value)
    found: T = value
    return found


def _answer(function: Callable[[], Any], into: int) -> NoReturn:
    """In the fork: write what it gives, and end without what this process would do at its end."""
    with contextlib.suppress(BaseException):
        try:
            answer = True, function()
        except ForkFailure as failure:
            answer = False, str(failure)
        with os.fdopen(into, "wb") as file:
            file.write(pickle.dumps(answer))
    os._exit(0)


def _read(file: int, deadline: float) -> bytes | None:
    """All that is written to a pipe; None when that has not ended in time."""
    found = b""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([file], [], [], left)[0]:
            part = os.read(file, 65536)
            if not part:
                return found
            found += part
    return None
