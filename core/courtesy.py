"""Manners of a thread that works for a second beside a loop that serves.

Both share the interpreter's lock, and a full garbage collection holds it from end to end. Measured
on two busy cores, a swap of 20 modules of 10 routes under load: the longest stall of the loop was a
full collection, 420 to 1,600 ms; without one in that time, 20 to 30 ms.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

SWITCH_SECONDS = 0.0005
"""How long the loop waits for the lock; Python's 5 ms would come on top of every request."""
NEVER = 1_000_000

_lock = threading.Lock()
_beside = 0
_before: tuple[float, tuple[int, int, int]] | None = None


@contextmanager
def beside_traffic() -> Iterator[None]:
    """While the block lasts, threads change places sooner and no full collection begins.

    Young objects are collected as ever, a few milliseconds at a time. Both settings are the
    process's: blocks may overlap, the last one to end restores what was there.
    """
    _begin()
    try:
        yield
    finally:
        _end()


def _begin() -> None:
    global _beside, _before
    with _lock:
        _beside += 1
        if _before is None:
            young, middle, old = gc.get_threshold()
            _before = sys.getswitchinterval(), (young, middle, old)
            sys.setswitchinterval(SWITCH_SECONDS)
            gc.set_threshold(young, middle, NEVER)


def _end() -> None:
    global _beside, _before
    with _lock:
        _beside -= 1
        if not _beside and _before is not None:
            interval, threshold = _before
            _before = None
            sys.setswitchinterval(interval)
            gc.set_threshold(*threshold)


class Worker:
    """One thread for all builds: in the C library each thread has a heap of its own.

    With `asyncio.to_thread` every thread of the pool keeps as much memory as a build takes.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="tessera-build")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await a function that blocks, after those that were asked for before."""
        context = contextvars.copy_context()

        def call() -> T:
            return context.run(function, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def close(self) -> None:
        """Let the thread go when it is done."""
        self._pool.shutdown(wait=False)
