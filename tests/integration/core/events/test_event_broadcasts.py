"""Listeners of broadcasts do each other no harm, whatever one of them does."""

from __future__ import annotations

import asyncio
import importlib

import pytest

from core.events import hearing
from tests.integration.core.events.conftest import Bells
from tests.support.plants import HEAD, Garden

ANOTHER = (
    HEAD
    + """
from planted_tower.module import Struck

DOES = []  # what to do when it hears of something


@hookimpl
def manifest():
    return Manifest("another", "1.0", requires=("tower",))


async def hear(event, delivery):
    await DOES[0](event)


@hookimpl
def subscriptions():
    return [broadcast(Struck, hear)]
"""
)


@pytest.fixture
async def does(bells: Bells, garden: Garden) -> list[object]:
    """Another module that hears of strokes, before the ledger does; what it is to do then."""
    garden.plant("another", ANOTHER)
    await bells.swap("another", "tower", "ledger")
    modules = [it.module for it in bells.app.generation.events.listeners]
    assert modules == ["another", "ledger"]
    found: list[object] = importlib.import_module("planted_another.module").DOES
    return found


async def test_a_listener_that_is_cancelled_ends_no_broadcasts(
    bells: Bells, does: list[object]
) -> None:
    """One that waits for something that is cancelled has failed; it and the others hear more."""
    heard: list[int] = []

    async def cancelled(event: object) -> None:
        heard.append(event.bell)  # type: ignore[attr-defined]
        never = asyncio.get_running_loop().create_future()
        never.cancel()
        await never

    does.append(cancelled)
    await bells.strike(1, 2, 3)
    await bells.until(lambda: len(bells.ledger.HEARD) == len(heard) == 3, seconds=3)
    assert heard == [it[0] for it in bells.ledger.HEARD] == [1, 2, 3]


async def test_a_slow_listener_delays_no_other(bells: Bells, does: list[object]) -> None:
    """While one module's handler takes its time (5 s at most), another hears of all there is."""
    does.append(lambda _: asyncio.sleep(3600))
    await bells.strike(1, 2, 3)
    await bells.until(lambda: len(bells.ledger.HEARD) == 3, seconds=3)


async def test_a_listener_that_swallows_its_cancellation_is_left_behind(
    bells: Bells, does: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its limit it is told of the next broadcast, though its handler has never returned."""
    monkeypatch.setattr(hearing, "HANDLER_SECONDS", 0.2)
    heard: list[int] = []
    over = asyncio.Event()

    async def deaf(event: object) -> None:
        heard.append(event.bell)  # type: ignore[attr-defined]
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    does.append(deaf)
    try:
        await bells.strike(1, 2)
        await bells.until(lambda: heard == [1, 2], seconds=5)
    finally:
        over.set()


async def test_a_listener_that_is_far_too_slow_misses_the_oldest(
    bells: Bells, does: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for it has a bound: of more than that it hears of the newest only."""
    monkeypatch.setattr(hearing, "MOST_WAITING", 2)
    heard: list[int] = []
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(event: object) -> None:
        heard.append(event.bell)  # type: ignore[attr-defined]
        begun.set()
        await go_on.wait()

    does.append(slow)
    await bells.strike(1)
    await begun.wait()
    for bell in (2, 3, 4, 5):
        await bells.strike(bell)
        await bells.until(lambda bell=bell: bells.ledger.HEARD[-1][0] == bell)
    go_on.set()
    await bells.until(lambda: heard == [1, 4, 5], seconds=3)
