"""A cached value, its times, and when to renew it early."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

QUIET = 20.0
"""Early refresh further than so many load times from the end has a chance of e^-20: no dice."""


@dataclass(slots=True)
class Entry:
    """A value in this process. Times are of the service's clock, in seconds.

    Until `quiet_until` a hit asks nothing further; until `fresh_until` it is a hit unless the dice
    say that it is renewed early; until `expires` Redis may confirm it; until `stale_until` it may
    stand in for a load that is Unavailable. `delta` is how long its load took; `mark` tells this
    value of the key from its predecessors, in every process.
    """

    value: Any
    tags: frozenset[str]
    delta: float
    expires: float
    stale_until: float
    mark: str = ""
    fresh_until: float = math.inf
    quiet_until: float = field(init=False)
    early: float = 0.0

    def __post_init__(self) -> None:
        self.fresh_until = min(self.fresh_until, self.expires)
        self.quiet_until = min(self.fresh_until, self.expires - QUIET * self.delta * self.early)

    def is_due(self, now: float, *, chance: float) -> bool:
        """Whether to renew already now; `chance` is a random number in [0, 1).

        XFetch: the nearer the end and the slower the load, the likelier, so that of many callers
        one renews a little early instead of all at once. Vattani, Chierichetti, Lowenstein:
        Optimal Probabilistic Cache Stampede Prevention, PVLDB 8(8), 2015.
        """
        return now - self.delta * self.early * math.log(1.0 - chance) >= self.expires
