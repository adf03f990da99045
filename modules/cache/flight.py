"""A load under way, which other callers of the same key wait for instead of loading themselves."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any


class Flight:
    """One question to which everybody who waits gets the first answer.

    It is led by the caller who began it, in that caller's task, and helped by one who has waited
    long. It ends when a leader answers, or when the last leader fails or is cancelled; after a
    cancellation there is no answer, and one of those who waited leads the next.
    """

    __slots__ = ("_answerer", "_done", "_error", "_value", "dropped", "helped", "leaders", "tags")

    def __init__(self, tags: frozenset[str]) -> None:
        self.tags = tags
        self.dropped = False
        """A tag was invalidated since the load began: what it gives must not be kept."""
        self.leaders = 0
        self.helped = 0.0
        """When the last leader joined."""
        self._answerer: object | None = None
        self._value: Any = None
        self._error: Exception | None = None
        self._done = asyncio.Event()

    @property
    def answered(self) -> bool:
        """Whether there is a value or an error for those who wait."""
        return self._answerer is not None

    def join(self, *, now: float) -> None:
        """Lead, or help the leader."""
        self.leaders += 1
        self.helped = now

    def leave(self, leader: object) -> bool:
        """Lead no longer; whether with that the flight is over."""
        self.leaders -= 1
        if not self.leaders:
            self._done.set()
        return not self.leaders or self._answerer is leader

    def succeed(self, leader: object, value: Any) -> bool:
        """Give everybody who waits the value; whether this leader's answer is what they get."""
        if not self.answered:
            self._answerer, self._value = leader, value
            self._done.set()
        return self._answerer is leader

    def fail(self, leader: object, error: Exception) -> None:
        """Give everybody who waits the error, unless another leader may yet do better."""
        if not self.answered and self.leaders == 1:
            self._answerer, self._error = leader, error
            self._done.set()

    async def ended(self, *, within: float) -> None:
        """Wait for the end, at most `within` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._done.wait()

    def result(self) -> Any:
        """The value, or raises what the load raised."""
        if self._error is not None:
            raise self._error
        return self._value
