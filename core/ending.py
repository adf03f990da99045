"""See to it that a process which is done ends, whatever threads a module has left in it.

Python waits at its end for every thread that is no daemon. One that never returns would keep a
server after SIGTERM, and `modules list`, for ever.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from types import FrameType

GRACE_SECONDS = 2.0
"""How long threads may take to end by themselves once the process is done."""
TICK_SECONDS = 0.1


def see_to(code: int) -> None:
    """When Python begins to end this process, it ends within the grace, with that code.

    Threads that prevented it are named on standard error. A process whose threads end in time ends
    as ever.
    """
    threading.Thread(target=_watch, args=(code,), name="tessera-end", daemon=True).start()


def _watch(code: int) -> None:
    while not _waits():
        time.sleep(TICK_SECONDS)
    time.sleep(GRACE_SECONDS)
    left = _left()
    with contextlib.suppress(Exception):
        _tell(left)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def _waits() -> bool:
    """Whether the main thread has nothing left to do but to wait for the others."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        code, frame = frame.f_code, frame.f_back
        if code.co_name == "_shutdown" and code.co_filename == threading.__file__:
            return True
    return False


def _left() -> list[threading.Thread]:
    main = threading.main_thread()
    return [thread for thread in threading.enumerate() if not thread.daemon and thread is not main]


def _tell(left: list[threading.Thread]) -> None:
    frames = sys._current_frames()
    names = ", ".join(f"{t.name!r}{_begun_in(frames.get(t.ident or 0))}" for t in left)
    sys.stderr.write(
        f"tessera: threads that do not end were left behind: {names}; "
        "let the module end them with its lifespan, or start them as daemons\n"
    )


def _begun_in(frame: FrameType | None) -> str:
    """Where the thread's own code begins, below what `threading` does."""
    places: list[str] = []
    while frame is not None and frame.f_code.co_filename != threading.__file__:
        places.append(f" at {frame.f_code.co_filename}:{frame.f_lineno}")
        frame = frame.f_back
    return places[-1] if places else ""
