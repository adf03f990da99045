"""How points become discounts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.orders.contracts import DraftLine
from tessera_loyalty.redeeming import redeem

LINES = st.lists(
    st.builds(
        DraftLine,
        product_id=st.just(1),
        quantity=st.integers(1, 1000),
        unit_price_minor=st.integers(0, 10**7),
        discount_bp=st.sampled_from([0, 0, 1, 2500, 9999, 10_000]),
    ),
    min_size=1,
    max_size=5,
)


def total(lines: object) -> int:
    return sum(line.total_minor for line in lines)  # type: ignore[attr-defined]


@given(LINES, st.integers(0, 10**9), st.integers(1, 1000), st.integers(1, 100))
def test_what_is_spent_is_what_is_saved(
    lines: list[DraftLine], points: int, value: int, percent: int
) -> None:
    """Points spent are worth exactly the cents saved, and never more than there are or may be."""
    paid = redeem(lines, points=points, value_minor=value, percent=percent)
    saved = total(lines) - total(paid.lines)
    assert paid.spent * value == saved
    assert 0 <= paid.spent <= points
    assert saved * 100 <= total(lines) * percent
    for before, after in zip(lines, paid.lines, strict=True):
        assert (after.product_id, after.quantity) == (before.product_id, before.quantity)
        assert after.unit_price_minor == before.unit_price_minor
        assert before.discount_bp <= after.discount_bp <= 10_000


@given(st.integers(1, 10_000), st.integers(0, 20_000))
def test_up_to_a_hundred_every_cent_counts(price: int, points: int) -> None:
    """A line of up to 100.00 can be made cheaper by any number of cents."""
    paid = redeem([DraftLine(1, 1, price)], points=points, value_minor=1)
    assert paid.spent == min(points, price)


@pytest.mark.parametrize(
    ("price", "points", "spent", "discount_bp"),
    [
        (1800, 300, 300, 1669),  # as from 1667: 15.00 remain
        (1800, 5000, 1800, 10_000),
        (1800, 0, 0, 0),
        (100_000, 55, 50, 5),  # a step is ten cents there
        (1_000_000, 99, 0, 0),  # and here a whole unit
        (0, 100, 0, 0),
    ],
)
def test_discounts_are_whole_basis_points(
    price: int, points: int, spent: int, discount_bp: int
) -> None:
    """The largest discount that the points are worth; above 100.00 some points may be left."""
    paid = redeem([DraftLine(1, 1, price)], points=points, value_minor=1)
    assert (paid.spent, paid.lines[0].discount_bp) == (spent, discount_bp)


def test_points_go_from_line_to_line() -> None:
    """What one line does not take pays for the next."""
    lines = [DraftLine(1, 1, 500), DraftLine(2, 1, 700), DraftLine(3, 1, 900)]
    paid = redeem(lines, points=800, value_minor=1)
    assert [line.total_minor for line in paid.lines] == [0, 400, 900]
    assert paid.spent == 800
