"""What a line and an order cost."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.plugin import Unprocessable
from modules.orders.contracts import OrderLineDTO
from modules.orders.pricing import MAX_TOTAL, line, line_total, order_total

prices = st.integers(0, MAX_TOTAL)
quantities = st.integers(1, 10_000)
discounts = st.integers(0, 10_000)


@given(prices, quantities, discounts)
def test_a_line_is_rounded_half_up(price: int, quantity: int, discount: int) -> None:
    """Integer arithmetic gives what exact decimals give, halves rounded away from zero."""
    share = 1 - Decimal(discount) / 10_000
    exact = Decimal(price) * quantity * share
    assert line_total(price, quantity, discount) == int(exact.quantize(1, ROUND_HALF_UP))


@pytest.mark.parametrize(
    ("price", "quantity", "discount", "total"),
    [(1, 1, 5000, 1), (1, 1, 5001, 0), (3, 1, 5000, 2), (1050, 1, 500, 998), (7, 3, 10_000, 0)],
)
def test_halves_go_up(price: int, quantity: int, discount: int, total: int) -> None:
    """Half a cent becomes a cent; a little less becomes none; 100 % off is free."""
    assert line_total(price, quantity, discount) == total


@given(prices, quantities, discounts)
def test_a_discount_never_adds(price: int, quantity: int, discount: int) -> None:
    """A line costs between nothing and its full price."""
    assert 0 <= line_total(price, quantity, discount) <= price * quantity


@given(st.lists(st.tuples(st.integers(0, 10**6), quantities, discounts), min_size=1))
def test_an_order_is_the_sum_of_its_lines(parts: list[tuple[int, int, int]]) -> None:
    """Rounding is done a line, so the total is the sum of what the lines show."""
    lines = [line(1, quantity=q, unit_price_minor=p, discount_bp=d) for p, q, d in parts]
    assert order_total(lines) == sum(line_total(*part) for part in parts)


def test_no_order_beyond_what_can_be_written() -> None:
    """The largest total passes; one cent more is refused, at the place that was given."""
    most = OrderLineDTO(1, 1, MAX_TOTAL, 0, MAX_TOTAL)
    assert order_total([most]) == MAX_TOTAL
    with pytest.raises(Unprocessable) as refused:
        order_total([most, OrderLineDTO(2, 1, 1, 0, 1)], loc=("body", "orders", 7))
    assert refused.value.extensions["errors"][0]["loc"] == ["body", "orders", 7, "lines"]
