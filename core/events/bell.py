"""Waking whoever has work: within a process at once, between processes by way of `Signals`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Bell:
    """Rung after a commit that left work; everybody who listens wakes. It carries nothing.

    A ring while a listener works is not lost: its next wait ends at once.
    """

    def __init__(self) -> None:
        self._ears: set[asyncio.Event] = set()
        self.on_ring: Callable[[], None] | None = None

    def ring(self, *, only_here: bool = False) -> None:
        """Wake the listeners of this process, and (unless `only_here`) those of the others."""
        for ear in self._ears:
            ear.set()
        if self.on_ring is not None and not only_here:
            self.on_ring()

    @contextmanager
    def listening(self) -> Iterator[Ear]:
        """While the block runs, rings are noticed."""
        heard = asyncio.Event()
        self._ears.add(heard)
        try:
            yield Ear(heard)
        finally:
            self._ears.discard(heard)


class Ear:
    """One listener of a bell."""

    def __init__(self, heard: asyncio.Event) -> None:
        self._heard = heard

    async def wait(self, *, seconds: float) -> None:
        """Until the bell rings, or so many seconds have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        self._heard.clear()
