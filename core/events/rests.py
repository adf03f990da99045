"""Aggregates that one consumer lets alone for a while, after something was tried in vain."""

from __future__ import annotations

import time

REMEMBERED_SECONDS = 60.0
"""For how long after its rest an aggregate lets others go first."""

Key = tuple[str, str]


class Rests:
    """Until when each is let alone; in this process."""

    def __init__(self) -> None:
        self._until: dict[Key, float] = {}
        self._put_off: set[Key] = set()

    def add(self, key: Key, seconds: float, *, put_off: bool = False) -> None:
        """Let it alone so long; `put_off` says that it waits for no server that is away."""
        self._until[key] = time.monotonic() + seconds
        (self._put_off.add if put_off else self._put_off.discard)(key)

    def now(self) -> set[Key]:
        """Those that rest; what was long ago is forgotten."""
        now = time.monotonic()
        self._until = {k: it for k, it in self._until.items() if it > now - REMEMBERED_SECONDS}
        self._put_off &= self._until.keys()
        return {key for key, until in self._until.items() if until > now}

    def waits_for_a_server(self) -> bool:
        """Whether one rests that was not only put off."""
        now = time.monotonic()
        return any(it > now for key, it in self._until.items() if key not in self._put_off)

    def last(self, key: Key) -> float:
        """When its last rest ends, to be compared with others; 0 when it had none of late."""
        return self._until.get(key, 0.0)
