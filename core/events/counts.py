"""What one process has done with events since its start, for `/metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

What = Literal["published", "delivered", "failed", "dead"]
WHATS: tuple[What, ...] = ("published", "delivered", "failed", "dead")


class Counts:
    """Counters by group; written by the loop's thread alone, so without locks."""

    def __init__(self) -> None:
        self._counted: dict[What, Counter[str]] = {what: Counter() for what in WHATS}

    def add(self, what: What, group: str, count: int = 1) -> None:
        """So many more."""
        self._counted[what][group] += count

    def failed(self, group: str, *, dead: bool) -> None:
        """A try failed; with `dead` it was the last."""
        self.add("failed", group)
        if dead:
            self.add("dead", group)

    def of(self, what: What) -> Iterator[tuple[str, int]]:
        """(group, count) of all that were counted."""
        yield from sorted(self._counted[what].items())
