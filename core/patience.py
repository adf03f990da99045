"""Tell a thread or process that hangs from one that is only starved on a busy machine."""

from __future__ import annotations

import os
import time
from pathlib import Path


class Patience:
    """How long to wait for one that says nothing: it has used `seconds` of processor time, or slept
    as long, or a minute (`seconds`, if that is more) has gone by in any case. Where there is no
    ``/proc``, waiting counts as sleeping. A stop of the watcher itself (SIGSTOP, a laptop that was
    closed) does not count.
    """

    LONGEST = 60.0
    TICK = 0.25
    """How often `ends` is to be asked, in seconds."""

    def __init__(self, pid: int, *, thread: int | None = None, seconds: float) -> None:
        """`thread` is one of the process's own, by its native id; else its main thread counts."""
        one = Path(f"/proc/{pid}")
        self._stat = one / "stat" if thread is None else one / f"task/{thread}/stat"
        self._seconds = seconds
        self._longest = max(self.LONGEST, seconds)
        self._used_before = self._last = self._processor()[0]
        self._slept = self._waited = 0.0
        self._asked = time.monotonic()

    @property
    def slept(self) -> float:
        """The seconds that it has slept, as far as `ends` was asked."""
        return self._slept

    def ends(self, *, started: bool = True) -> bool:
        """Whether it has lasted; `started`: a module's code is under way, not core's own."""
        now = time.monotonic()
        passed = min(now - self._asked, 2 * self.TICK)
        self._asked = now
        used, asleep = self._processor()
        self._waited += passed
        self._slept += passed if asleep and used == self._last else 0.0
        self._last = used
        if not started:
            return self._waited >= self.LONGEST
        used_up = used - self._used_before >= self._seconds
        return used_up or self._slept >= self._seconds or self._waited >= self._longest

    def _processor(self) -> tuple[float, bool]:
        """(seconds of processor time used so far, whether it sleeps)."""
        try:
            fields = self._stat.read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0, True
        ticks = int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK"), fields[0] != "R"
