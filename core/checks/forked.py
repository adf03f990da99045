"""A stranger's function in a fork: it may end its process, or never return."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import tempfile
import time
from collections.abc import Callable
from typing import IO, Any, NoReturn, TypeVar

T = TypeVar("T")

LOOK_SECONDS = 0.005


class ForkFailure(Exception):
    """It gave nothing; the text says why."""


def in_a_fork(function: Callable[[], T], *, seconds: float) -> T:
    """What a function gives that is called in a fork of this process; it must be picklable.

    What it starts there ends with it. Raises ForkFailure for what the function raised as that, when
    it ended the process, and when it did not return in time.
    """
    # A file, for a pipe ends only when all have closed it that it has started.
    with tempfile.TemporaryFile() as told:
        pid = os.fork()
        if not pid:
            _answer(function, told)
        code = _code_of(pid, seconds)
        told.seek(0)
        answer = told.read()
    if code is None:
        raise ForkFailure(f"it did not return within {seconds:.0f} s")
    if not answer:
        ending = f"exit code {code}" if code >= 0 else f"signal {-code}"
        raise ForkFailure(f"it ended the whole process ({ending})")
    good, value = pickle.loads(answer)  # noqa: S301 - from our own fork
    if not good:
        raise ForkFailure(value)
    found: T = value
    return found


def _answer(function: Callable[[], Any], told: IO[bytes]) -> NoReturn:
    """In the fork: write what it gives, and end without what this process would do at its end."""
    with contextlib.suppress(BaseException):
        os.setsid()
        try:
            answer = True, function()
        except ForkFailure as failure:
            answer = False, str(failure)
        told.write(pickle.dumps(answer))
        told.flush()
    os._exit(0)


def _code_of(pid: int, seconds: float) -> int | None:
    """The exit code of a fork; None when it had to be ended. Nothing of its session is left."""
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(LOOK_SECONDS)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # there is nobody
            os.killpg(pid, signal.SIGKILL)
