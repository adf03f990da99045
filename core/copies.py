"""A copy of this process for work that it should not do itself: what it has imported is there.

A second and a half of processor time less than a new interpreter that imports core.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

LOOK_SECONDS = 0.01
DESCRIPTORS = Path("/proc/self/fd")


def can_be_made() -> bool:
    """Whether a copy of this process is one that works: no thread is lost, no lock stays held.

    Elsewhere than on Linux (macOS) the system's own libraries may not survive it.
    """
    return DESCRIPTORS.is_dir() and threading.active_count() == 1


def run(work: Callable[[], None], *, keeping: int, seconds: float) -> None:
    """Let a copy do the work; it holds no file of this process but the one `keeping`. Blocks.

    Raises ChildProcessError when it did not come to its end, TimeoutError when it took too long.
    """
    sys.stdout.flush()  # or both would write what waits
    sys.stderr.flush()
    child = os.fork()
    if not child:
        _be_the_copy(work, keeping)
    until = time.monotonic() + seconds
    try:
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > until:
                raise TimeoutError(f"it took more than {seconds:g} s")
            time.sleep(LOOK_SECONDS)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    if code := os.waitstatus_to_exitcode(ended[1]):
        raise ChildProcessError(f"it ended with {code}")


def _be_the_copy(work: Callable[[], None], keeping: int) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
    for number in [int(entry.name) for entry in DESCRIPTORS.iterdir()]:
        if number > 2 and number != kept:
            os.dup2(nothing, number)
