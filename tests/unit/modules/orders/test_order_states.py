"""The state machine of an order, in full."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from modules.orders.contracts import Status
from modules.orders.states import STEPS, before, may_follow

ALLOWED = {
    ("created", "paid"),
    ("created", "cancelled"),
    ("paid", "shipped"),
    ("paid", "cancelled"),
    ("shipped", "delivered"),
}
PAIRS = list(product(get_args(Status), repeat=2))


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_steps(old: Status, new: Status) -> None:
    """Of the 25 pairs of states, exactly the five of the contract are steps."""
    assert may_follow(old, new) == ((old, new) in ALLOWED)


def test_every_state_has_its_steps() -> None:
    """The table speaks of every state there is, and of no other."""
    assert set(STEPS) == set(get_args(Status))


@pytest.mark.parametrize("new", get_args(Status))
def test_sources_are_the_steps_read_backwards(new: Status) -> None:
    """The states before one are those from which it may be reached, earliest first."""
    assert list(before(new)) == [old for old in STEPS if old in before(new)]
    assert set(before(new)) == {old for old, target in ALLOWED if target == new}
