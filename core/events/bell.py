"""Waking whoever has work: within a process at once, between processes by way of `Signals`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

News = Literal["recorded", "due"]
"""Events were recorded; deliveries are due."""
ALL_NEWS: tuple[News, ...] = ("recorded", "due")


class Bell:
    """Rung after a commit that left work; whoever listens for such news wakes. It carries nothing.

    A ring while a listener works is not lost: its next wait ends at once.
    """

    def __init__(self) -> None:
        self._ears: dict[News, set[asyncio.Event]] = {news: set() for news in ALL_NEWS}
        self.on_ring: Callable[[News], None] | None = None

    def ring(self, news: News) -> None:
        """Wake the listeners of this process, and those of the others."""
        self.ring_here(news)
        if self.on_ring is not None:
            self.on_ring(news)

    def ring_here(self, *news: News) -> None:
        """Wake the listeners of this process alone; without a name, all of them."""
        for each in news or ALL_NEWS:
            for ear in self._ears[each]:
                ear.set()

    @contextmanager
    def listening(self, news: News) -> Iterator[Ear]:
        """While the block runs, rings are noticed."""
        heard = asyncio.Event()
        self._ears[news].add(heard)
        try:
            yield Ear(heard)
        finally:
            self._ears[news].discard(heard)


class Ear:
    """One listener of a bell."""

    def __init__(self, heard: asyncio.Event) -> None:
        self._heard = heard

    def wake(self) -> None:
        """As if the bell had been rung, for this listener alone."""
        self._heard.set()

    async def wait(self, *, seconds: float) -> None:
        """Until the bell rings, or so many seconds have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        self._heard.clear()
