"""One partition while it is this process's: what came from it and is not through yet."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.events.kafka.handover import Handover
    from core.events.kafka.intake import Incoming

BATCH = 200
"""Messages of one partition that are worked on at once."""


class Lane:
    """Works through a partition beside the polling, aggregates beside each other.

    A slow handler keeps its own partition waiting and no other.
    """

    def __init__(self, handover: Handover, *, name: str) -> None:
        self._handover = handover
        self._waiting: deque[Incoming] = deque()
        self._under_way: set[int] = set()
        self._next = -1
        self._leaving = False
        self._task: asyncio.Task[None] | None = None
        self._name = name

    def take(self, messages: Iterable[Incoming], *, upto: int) -> None:
        """More to do; all before the offset `upto` was read, and what is not here is passed by.

        Nothing once it was left: whoever has the partition then reads all that again.
        """
        if self._leaving:
            return
        self._waiting.extend(messages)
        self._next = upto
        if self._waiting and not self.is_busy:
            self._task = asyncio.create_task(self._work(), name=self._name)

    @property
    def waiting(self) -> int:
        """How many messages it has in hand."""
        return len(self._waiting) + len(self._under_way)

    @property
    def position(self) -> int:
        """The offset before which everything is through."""
        if self._under_way:
            return min(self._under_way)
        return self._waiting[0].offset if self._waiting else self._next

    def leave(self) -> None:
        """Begin nothing more: the partition is another's, or this consumer ends."""
        self._leaving = True

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way still."""
        return self._task is not None and not self._task.done()

    async def ended(self, *, seconds: float | None = None) -> None:
        """Until what was under way is through, or so many seconds have passed."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)

    def cancel(self) -> asyncio.Task[None] | None:
        """Roll back what is under way."""
        if self._task is not None:
            self._task.cancel()
        return self._task

    async def _work(self) -> None:
        while self._waiting and not self._leaving:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            # Added: what a task that died has left was not given, and must be read again.
            self._under_way |= {it.offset for it in batch}
            chunks = [
                self._handover.give(it, going=self._is_going, done=self._done)
                for it in self._handover.chunks(batch)
            ]
            await asyncio.gather(*chunks)

    def _is_going(self) -> bool:
        return not self._leaving

    def _done(self, message: Incoming) -> None:
        self._under_way.discard(message.offset)
