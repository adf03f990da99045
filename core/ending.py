"""See to it that a process which is done ends, whatever threads a module has left in it.

Python waits at its end for every thread that is no daemon. One that never returns would keep a
server after SIGTERM, and `modules list`, for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

GRACE_SECONDS = 2.0
"""How long threads may take to end by themselves once the process is done."""


def see_to(code: int) -> None:
    """When Python begins to end this process, it ends within the grace, with that code.

    Threads that prevented it are named on standard error. A process whose threads end in time ends
    as ever.
    """
    # What Python does first when the main thread is done. Private, as `concurrent.futures` uses it
    # too; `atexit` comes only after the threads, joining the main thread races with its end
    # (3.11, 3.12), and to look at the frames of a thread that runs reads freed memory (3.11).
    threading._register_atexit(_begin, code)  # type: ignore[attr-defined]


def leave_executor() -> None:
    """Let the running loop end without waiting for what a module does in the loop's executor.

    asyncio joins it without a limit (3.11); with an idle one in its place `see_to` has the threads.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))


def insist(seconds: float) -> None:
    """End this process so many seconds from now, whatever blocks it, with 1.

    A module may block the loop where it ends, or a thread of the loop's own executor, for which
    asyncio waits without end.
    """
    threading.Thread(target=_end, args=(1, seconds), name="tessera-insist", daemon=True).start()


def _begin(code: int) -> None:
    threading.Thread(target=_end, args=(code,), name="tessera-end", daemon=True).start()


def _end(code: int, seconds: float = GRACE_SECONDS) -> None:
    time.sleep(seconds)
    left = _left()
    with contextlib.suppress(Exception):
        _tell(left)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


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
