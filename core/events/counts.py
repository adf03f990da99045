"""What one process has done with events since its start, for `/metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

What = Literal["published", "delivered", "failed", "dead"]
WHATS: tuple[What, ...] = ("published", "delivered", "failed", "dead")


class Counts:
    """Counters by group; written by the loop's thread alone, so without locks."""

    def __init__(self) -> None:
        self._counted: dict[What, Counter[str]] = {what: Counter() for what in WHATS}
        self._delivered_at: dict[str, datetime] = {}

    def add(self, what: What, group: str, count: int = 1) -> None:
        """So many more."""
        self._counted[what][group] += count
        if what == "delivered" and count:
            self._delivered_at[group] = datetime.now(UTC)

    def has_delivered_since(self, moment: datetime, group: str) -> bool:
        """Whether the group was given anything by this process after that moment."""
        last = self._delivered_at.get(group)
        return last is not None and last > moment

    def failed(self, group: str, *, dead: bool) -> None:
        """A try failed; with `dead` it was the last."""
        self.add("failed", group)
        if dead:
            self.add("dead", group)

    def of(self, what: What) -> Iterator[tuple[str, int]]:
        """(group, count) of all that were counted."""
        yield from sorted(self._counted[what].items())
