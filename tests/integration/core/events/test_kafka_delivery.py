"""With a broker in between each subscriber is still given each event once and in order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support import tower as towers

pytestmark = pytest.mark.kafka


async def test_each_event_has_one_effect_and_those_of_a_key_are_in_order(kafka_bells: Any) -> None:
    """Fifty strokes on ten bells are fifty lines, each bell's in the order of its strokes."""
    bells = kafka_bells
    await asyncio.gather(*(bells.strike(*[bell] * 5) for bell in range(10)))
    effects = await bells.effects(50)
    assert len(effects) == 50
    assert towers.in_order(effects)
    assert towers.waiting(bells.url) == (0, 0)
