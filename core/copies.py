"""A copy of this process for work that it should not do itself: what it has imported is there.

A second and a half of processor time less than a new interpreter that imports core.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

LOOK_SECONDS = 0.01
PROCESS = Path("/proc/self")
HANDLED: Mapping[signal.Signals, Callable[[int, FrameType | None], Any] | signal.Handlers] = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
}
"""What a copy does at signals for which its original has handlers."""


def can_be_made() -> bool:
    """Whether a copy of this process is one that works: no thread is lost, no lock stays held.

    The threads are those that the kernel knows, not Python alone. Elsewhere than on Linux (macOS)
    the system's own libraries may not survive it.
    """
    try:
        return len([*(PROCESS / "task").iterdir()]) == 1
    except OSError:
        return False


class Copy:
    """A copy of this process at its work."""

    def __init__(self, work: Callable[[], None], *, keeping: int) -> None:
        """Make it; it holds no file of this process but the one `keeping`. Raises OSError."""
        for stream in (sys.stdout, sys.stderr):  # or both would write what waits
            with contextlib.suppress(Exception):  # there may be none, or a closed one
                stream.flush()
        self.pid = os.fork()
        if not self.pid:
            _be_the_copy(work, keeping)

    def wait(self, *, seconds: float) -> None:
        """Return when it has come to its end. Blocks; from any thread.

        Raises ChildProcessError when it has not come to it, TimeoutError when it took too long.
        """
        until = time.monotonic() + seconds
        while not (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise TimeoutError(f"it took more than {seconds:g} s")
            time.sleep(LOOK_SECONDS)
        if code := os.waitstatus_to_exitcode(ended[1]):
            raise ChildProcessError(f"it ended with {code}")


def _be_the_copy(work: Callable[[], None], keeping: int) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number, handler in HANDLED.items():
            if signal.getsignal(number) != signal.SIG_IGN:  # which a new program inherits, too
                signal.signal(number, handler)
        _let_go_of_all_but(keeping)
        work()
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)  # never through what the original has registered for its end


def _let_go_of_all_but(kept: int) -> None:
    """Hold no socket of the original's: an address would stay taken when only the copy is left.

    The numbers stay taken: libuv closes its own by number in each fork of this one.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in [int(entry.name) for entry in (PROCESS / "fd").iterdir()]:
        if number > 2 and number != kept:
            os.dup2(nothing, number)
