"""An upcaster that gives something else than it says: its messages fail, and nothing else."""

from __future__ import annotations

import pytest

from tests.integration.core.events.test_publishers_away import LIFT, Shop, Way
from tests.support.plants import Garden


@pytest.mark.timeout(60)  # what it would be without: one call that never returns
async def test_an_upcaster_that_gives_the_old_version_again_makes_a_dead_letter(
    way: Way, garden: Garden
) -> None:
    """It is called once a try, not for ever: its message is a dead letter that names it, and what
    it lifts as it should, and the process, go on."""
    wrong = LIFT.replace("    return ", "    return old if old.bell == 1 else ")
    shop = Shop(way, garden, apart=False, lift=wrong)
    async with shop.open("tower", "ledger") as bells:
        await bells.strike(1, 2)
        [letter] = await bells.dead(1)
        assert letter.reason == (
            "Undecodable: tower.bell_struck.v1 to tower.bell_struck.v2: "
            "lift returned a Struck, not a StruckLoud"
        )
        assert await bells.effects(1) == [(2, 1)]
