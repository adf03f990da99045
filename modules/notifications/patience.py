"""Not trying again too soon: what failed is left alone for a while, each time for twice as long."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from core.plugin import Unavailable

MOST = 10_000
"""Names that are remembered; the oldest goes, and may be tried sooner than it should."""
NEVER = (0.0, 0.0, "")


class Patience:
    """Times before which something is not to be tried, by name; in this process."""

    def __init__(
        self, *, first: float, longest: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Waits grow from `first` to `longest`, in seconds."""
        self._first = first
        self._longest = longest
        self._clock = clock
        self._waiting: OrderedDict[str, tuple[float, float, str]] = OrderedDict()

    def check(self, name: str, *, only_this: bool = False) -> None:
        """Raises Unavailable while it is too soon, with why it failed the last time; `only_this` is
        handed on to it."""
        until, _, why = self._waiting.get(name, NEVER)
        if (left := until - self._clock()) > 0:
            text, seconds = "Too soon to try again.", math.ceil(left)
            raise Unavailable(text, retry_after=seconds, for_operators=why, only_this=only_this)

    def put_off(self, name: str, why: str) -> int:
        """It failed: leave it alone, for longer than the last time; how many seconds."""
        _, last, _ = self._waiting.pop(name, NEVER)
        wait = min(max(last * 2, self._first), self._longest)
        self._waiting[name] = (self._clock() + wait, wait, why)
        while len(self._waiting) > MOST:
            self._waiting.popitem(last=False)
        return math.ceil(wait)

    def forget(self, name: str) -> None:
        """It worked."""
        self._waiting.pop(name, None)
