from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.money import Money, round_half_up


@given(st.integers(min_value=0, max_value=10**14 - 1))
def test_minor_units_survive_the_way_through_text(minor: int) -> None:
    """An amount in cents, written as decimal text and read back, is the same amount."""
    assert Money.of_minor(minor, "USD").minor == minor


@pytest.mark.parametrize(
    ("amount", "cents"), [("0.5", 50), ("18", 1800), ("18.07", 1807), ("0.00", 0)]
)
def test_text_is_read_as_cents(amount: str, cents: int) -> None:
    """A decimal text with none, one or two places is so many cents."""
    assert Money(amount=amount, currency="EUR").minor == cents


@pytest.mark.parametrize("amount", ["", "-1", "1.234", "1e3", "1,5", "٣", ".5", "NaN"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    """Signs, exponents, third places and other digits are no amounts of money."""
    with pytest.raises(ValidationError):
        Money(amount=amount, currency="EUR")


@pytest.mark.parametrize(
    ("value", "rounded"), [("0.5", 1), ("1.5", 2), ("2.5", 3), ("2.4999", 2), ("0", 0)]
)
def test_halves_go_up(value: str, rounded: int) -> None:
    """Half a cent counts as a whole one, not to the nearest even as Python's round() would."""
    assert round_half_up(Decimal(value)) == rounded
