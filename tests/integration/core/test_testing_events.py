"""The kit and events: what was published, delivery step by step, and what follows from what."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from core.errors import Unavailable
from core.testing import AppFactory, DeliveryFailed, Events, FrozenTime, RunningApp, Scenario
from tests.support import tower as towers
from tests.support.databases import database_url
from tests.support.plants import Garden

__all__ = ["database_url"]
Scenarios = Callable[[], Scenario]


class Kit:
    """A tower and its ledger, delivered to by hand."""

    def __init__(self, app: RunningApp, tower: Any, ledger: Any) -> None:
        self.app, self.tower, self.ledger = app, tower, ledger

    def strike(self, *bells: int) -> None:
        """One request a stroke."""
        for bell in bells:
            assert self.app.client("v2").post(f"/tower/{bell}").status_code == 201

    def strokes(self, *strokes: tuple[int, int]) -> list[Any]:
        """The events of (bell, count)."""
        return [self.tower.Struck(bell=bell, count=count) for bell, count in strokes]

    def lines(self) -> list[tuple[int, int]]:
        """The ledger."""
        return towers.lines(self.app.settings.database.url)


@pytest.fixture
def kit(database_url: str, garden: Garden, app_factory: AppFactory) -> Kit:
    """By hand."""
    tower, ledger = towers.plant(garden)
    app = app_factory(["ledger"], database_url=database_url, by_hand=True)
    return Kit(app, tower, ledger)


@pytest.fixture
def quick(garden: Garden, app_factory: AppFactory) -> Kit:
    """One that delivers by itself."""
    tower, ledger = towers.plant(garden)
    return Kit(app_factory(["ledger"], settings={"events": towers.QUICK}), tower, ledger)


def test_what_was_published_is_a_list(kit: Kit, published: Events) -> None:
    """It has every event in its order, grows with each request, and can be asked for one class."""
    assert published == []
    kit.strike(1, 2, 1)
    assert published == kit.strokes((1, 1), (2, 1), (1, 2))
    assert (len(published), published[-1]) == (3, kit.strokes((1, 2))[0])
    assert published.of(kit.tower.Struck) == list(published)
    assert kit.app.events == published


def test_nothing_is_delivered_before_one_says_so(kit: Kit) -> None:
    """By hand, subscribers get nothing until `deliver`, then all that is due, each once."""
    kit.strike(*[1] * 30, 2)
    assert kit.lines() == []
    assert kit.app.events.deliver() == 31
    assert sorted(kit.lines()) == [*((1, count) for count in range(1, 31)), (2, 1)]
    assert towers.in_order(kit.lines())
    assert kit.app.events.deliver() == 0
    kit.strike(2)
    assert kit.app.events.deliver() == 1


def test_a_handler_that_raises_fails_the_test(kit: Kit, frozen_time: FrozenTime) -> None:
    """`deliver` raises with what the handler said; once the clock has moved it is tried again."""

    async def trouble() -> None:
        raise ValueError("the ink is dry")

    kit.ledger.BAD[1] = trouble
    kit.strike(1, 2)
    told = "ledger failed at tower.bell_struck.v1 (try 1): ValueError: the ink is dry"
    with pytest.raises(DeliveryFailed, match=re.escape(told)):
        kit.app.events.deliver()
    assert kit.lines() == [(2, 1)]
    [failed] = kit.app.events.failed()
    assert (failed.group, failed.attempts, failed.dead) == ("ledger", 1, False)
    frozen_time.shift(3600)
    assert kit.app.events.deliver(failing=True) == 0
    assert kit.app.events.failed()[0].attempts == 2
    kit.ledger.BAD.clear()
    frozen_time.shift(3600)
    assert kit.app.events.deliver() == 1
    assert kit.app.events.failed() == []
    assert kit.lines() == [(2, 1), (1, 1)]


def test_a_handler_that_meets_unavailable_fails_the_test(kit: Kit, published: Events) -> None:
    """`deliver` raises with what the handler said, though it is no failure of the message: that
    one waits, uncounted, and is tried by the next call."""

    async def away() -> None:
        raise Unavailable("the mill is away")

    kit.ledger.BAD[1] = away
    kit.strike(1, 2)
    told = "ledger waits at tower.bell_struck.v1: Unavailable: the mill is away"
    with pytest.raises(DeliveryFailed, match=f"^{re.escape(told)}$"):
        kit.app.events.deliver()
    assert kit.lines() == [(2, 1)]
    assert kit.app.events.deliver(failing=True) == 0
    [waiting] = published.failed()
    assert (waiting.waits, waiting.attempts, waiting.dead) == (True, 0, False)
    kit.ledger.BAD.clear()
    assert kit.app.events.deliver() == 1
    assert kit.app.events.failed() == []


def test_what_failed_and_then_waits_says_what_for(kit: Kit, frozen_time: FrozenTime) -> None:
    """A message that failed once, and meets Unavailable at its next try, waits for that; what it
    raises after that is told as a failure again."""
    raising: list[Exception] = []

    async def trouble() -> None:
        raise raising[-1]

    kit.ledger.BAD[1] = trouble
    kit.strike(1)
    told = []
    for error in (ValueError("dry"), Unavailable("away"), ValueError("still dry")):
        raising.append(error)
        kit.app.events.deliver(failing=True)
        told += [(it.waits, it.attempts, it.reason) for it in kit.app.events.failed()]
        frozen_time.shift(3600)
    assert told == [
        (False, 1, "ValueError: dry"),
        (True, 1, "Unavailable: away"),
        (False, 2, "ValueError: still dry"),
    ]


def test_a_handler_has_the_time_that_it_has_in_production(kit: Kit) -> None:
    """On SQLite one that is 2.5 s in its transaction has failed by hand too; elsewhere it may."""
    kit.ledger.BAD[1] = lambda: asyncio.sleep(2.8)
    kit.strike(1)
    if kit.app.settings.database.url.startswith("sqlite"):
        with pytest.raises(DeliveryFailed, match=r"TimeoutError: write did not .* 2\.5 s"):
            kit.app.events.deliver()
        assert kit.lines() == []
    else:
        assert kit.app.events.deliver() == 1
        assert kit.lines() == [(1, 1)]


def test_a_scenario_by_hand(kit: Kit, scenario: Scenarios) -> None:
    """Each look delivers; the event that is asked for is one of this block, not one before."""
    kit.strike(1)
    with scenario() as then:
        kit.strike(2, 1)
        assert then.event(kit.tower.Struck).bell == 2
        assert then.event(kit.tower.Struck, where=lambda it: it.bell == 1).count == 2
        assert then.holds(kit.lines) == kit.lines()
        assert len(kit.lines()) == 3
        assert then.published == kit.strokes((2, 1), (1, 2))


def test_a_scenario_says_what_happened_instead(kit: Kit, scenario: Scenarios) -> None:
    """One that fails tells what was published since and which handler failed why, or
    waits for what."""

    async def trouble() -> None:
        raise ValueError("the ink is dry")

    kit.ledger.BAD[1] = trouble
    with scenario() as then:
        with pytest.raises(AssertionError, match=r"no Struck within 0\.1 s; .* nothing$"):
            then.event(kit.tower.Struck, within=0.1)
        kit.strike(1)
        with pytest.raises(AssertionError, match=r"still \[\] after .*bell=1.*the ink is dry"):
            then.holds(kit.lines, within=0.1)

    async def away() -> None:
        raise Unavailable("the mill is away")

    kit.ledger.BAD[2] = away
    with scenario() as then:
        kit.strike(2)
        with pytest.raises(AssertionError, match=r"bell=2.*ledger waits at .*the mill is away"):
            then.holds(kit.lines, within=0.1)


def test_a_scenario_waits_where_events_move_by_themselves(quick: Kit, scenario: Scenarios) -> None:
    """Without `by_hand` a scenario waits for what comes; delivering by hand is refused there."""
    with scenario() as then:
        quick.strike(1)
        then.event(quick.tower.Struck, within=5)
        assert then.holds(quick.lines) == [(1, 1)]
    with pytest.raises(RuntimeError, match="by_hand=True"):
        quick.app.events.deliver()
