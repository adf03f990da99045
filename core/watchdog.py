"""A thread that looks after the others while modules start: has one been in a step for too long?

The rehearsal finds what always hangs. What hangs only for real (a server that does not answer,
asked by a blocking call) blocks the loop, where nothing else can help it. The watchdog writes down
which module it is, shows the stack, and lets the process begin anew; the next start keeps the
module out.

Once modules have started it only tells of one that blocks. Requests are not watched at all, and the
code of migrations neither: those may take long.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

import structlog

from core import marks, restart, steps
from core.marks import Fingerprints
from core.patience import Patience
from core.steps import Step

log = structlog.get_logger("tessera.watchdog")

BLOCKED_SECONDS = 6.0
"""How long a module may block a thread, working or asleep: the host is to be ready within 15 s."""
REHEARSALS = 2.0
"""So many times as long as in the rehearsal a step may take for real, if that is more."""
DEBUGGERS = frozenset({"bdb", "pdb", "pydevd", "_pydevd_bundle", "debugpy"})

_watchdog: Watchdog | None = None


def install(end: Callable[[], NoReturn] = restart.leave) -> None:
    """Let this process be watched; `end` ends or renews it. The first to install decides."""
    global _watchdog
    if _watchdog is None:
        _watchdog = Watchdog(end)


def watch() -> None:
    """Watch from now on, where it is installed: not before, for a preflight wants no thread."""
    if _watchdog is not None and not _watchdog.watching:
        _watchdog.watching = True
        threading.Thread(target=_watchdog.watch, name="tessera-watchdog", daemon=True).start()


@contextlib.contextmanager
def starting(fingerprints: Fingerprints, *, rehearsed_seconds: float = 0) -> Iterator[None]:
    """While the block lasts, a module that blocks this process is kept out of the next.

    `rehearsed_seconds` is what a step may take in the rehearsal: what passed there must pass here.
    """
    start = _Start(fingerprints, max(BLOCKED_SECONDS, REHEARSALS * rehearsed_seconds))
    if _watchdog is not None:
        _watchdog.starting.append(start)
    try:
        yield
    finally:
        if _watchdog is not None:
            _watchdog.starting.remove(start)


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    """A start under way, and how long a module may block it."""

    fingerprints: Fingerprints
    seconds: float


class Watchdog:
    """Looks at the steps under way, again and again."""

    def __init__(self, end: Callable[[], NoReturn]) -> None:
        self.starting: list[_Start] = []
        self.watching = False
        self._end = end
        self._patience: dict[Step, Patience] = {}
        self._told: Step | None = None

    def watch(self) -> None:
        """For as long as the process lives."""
        while True:
            time.sleep(Patience.TICK)
            self._look()

    def _look(self) -> None:
        watched = [step for step in steps.under_way() if step.doing != steps.MIGRATION]
        before = self._patience
        self._patience = {step: before.get(step) or self._patient(step) for step in watched}
        for step, patience in self._patience.items():
            frame = sys._current_frames().get(step.ident)
            if patience.ends() and frame is not None and not _is_debugged(frame):
                self._act(step, "".join(traceback.format_stack(frame)))

    def _act(self, step: Step, stack: str) -> None:
        start = self._start()
        if start is None:
            if step is not self._told:
                log.warning("a module blocks", module=step.module, step=step.doing, stack=stack)
            self._told = step
            return
        log.critical(
            "a module blocks the start: the next one is without it",
            module=step.module,
            step=step.doing,
            seconds=start.seconds,
            stack=stack,
        )
        if not marks.note(step, "blocked the process", start.fingerprints):
            log.critical("it cannot be noted, and would block again", file=str(marks.KEPT))
            restart.leave()
        marks.end_writing()
        self._end()

    def _patient(self, step: Step) -> Patience:
        start = self._start()
        seconds = BLOCKED_SECONDS if start is None else start.seconds
        return Patience(os.getpid(), thread=step.thread, seconds=seconds)

    def _start(self) -> _Start | None:
        """The latest start under way; another thread may end it at any moment."""
        return next(reversed(self.starting), None)


def _is_debugged(frame: FrameType | None) -> bool:
    """Whether somebody looks at that code step by step, and so blocks it on purpose."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if frame.f_trace is not None or name in DEBUGGERS:
            return True
        frame = frame.f_back
    return False
