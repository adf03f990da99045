"""A handler may raise what ends other programs; its group goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.events.operations import retry

DEADLY = {
    "Exited: SystemExit: 3": SystemExit(3),
    "RuntimeError: write was cancelled by what it waited for": asyncio.CancelledError(),
}


@pytest.mark.parametrize("reason", DEADLY)
async def test_a_handler_that_exits_or_is_cancelled_has_failed(bells: Any, reason: str) -> None:
    """SystemExit, and a cancellation from inside, count as failures: other keys go on, and so does
    the key itself once it is mended."""
    bells.goes_wrong(1, DEADLY[reason])
    await bells.strike(1, 2)
    [letter] = await bells.dead(1)
    assert letter.reason == reason
    assert await bells.effects(1) == [(2, 1)]
    bells.ledger.BAD.clear()
    assert await retry(bells.database, "ledger", [letter.number]) == 1
    assert await bells.effects(2) == [(2, 1), (1, 1)]
