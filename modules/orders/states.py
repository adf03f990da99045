"""The state machine of an order; nothing but the rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from modules.orders.contracts import Status

STEPS: Final[Mapping[Status, frozenset[Status]]] = {
    "created": frozenset({"paid", "cancelled"}),
    "paid": frozenset({"shipped", "cancelled"}),
    "shipped": frozenset({"delivered"}),
    "delivered": frozenset(),
    "cancelled": frozenset(),
}
"""From each state, where an order may go next."""


def may_follow(old: Status, new: Status) -> bool:
    """Whether an order may go from `old` to `new`; staying where it is is no step."""
    return new in STEPS[old]


def before(new: Status) -> Sequence[Status]:
    """The states from which an order may come to `new`, the earlier first."""
    return [old for old in STEPS if may_follow(old, new)]
