"""The body of an import: how prices and discounts may be written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from modules.orders.api.v2.importing import Import, PastLine

LINE = {"product_id": 1, "quantity": 1, "unit_price": "1.00"}


def order(**changes: Any) -> dict[str, Any]:
    return {
        "external_ref": "R1",
        "customer_email": "a@b.example",
        "placed_at": "1996-07-04",
        "currency": "USD",
        "lines": [LINE],
        **changes,
    }


def priced(unit_price: Any, discount: Any = 0) -> tuple[int, int]:
    line = PastLine.model_validate(
        {**LINE, "unit_price": unit_price, "discount": discount}
    ).priced()
    return line.unit_price_minor, line.discount_bp


@given(st.integers(0, 10**14 - 1))
def test_a_price_as_text_or_money(cents: int) -> None:
    """Every amount of cents is read exactly, as text and as money."""
    text = f"{Decimal(cents) / 100:.2f}"
    assert priced(text)[0] == cents
    assert priced({"amount": text, "currency": "USD"})[0] == cents


@given(st.integers(0, 10**14 - 1))
def test_a_price_as_a_number(cents: int) -> None:
    """Every amount of cents is read exactly as a JSON number too, though that is a float."""
    assert priced(cents / 100)[0] == cents


@given(st.integers(0, 10_000))
def test_a_discount_in_basis_points(points: int) -> None:
    """Every share with four decimals is read exactly, as text and as a number."""
    assert priced(1, points / 10_000)[1] == points
    assert priced(1, f"{Decimal(points) / 10_000:.4f}")[1] == points


@pytest.mark.parametrize("price", [-1, "-1", 1.005, "1.005", "1e3", "1_0", "", "NaN", True, None])
def test_what_is_no_price(price: Any) -> None:
    """Negative, finer than a cent, scientific, boolean or null: refused."""
    with pytest.raises(ValidationError):
        priced(price)


@pytest.mark.parametrize("huge", [10**12, 1e300, 10**400, float("inf"), float("nan")])
def test_a_price_beyond_measure(huge: Any) -> None:
    """More than a bill can hold, infinite or not a number: refused."""
    with pytest.raises(ValidationError):
        priced(huge)


@pytest.mark.parametrize("discount", [-0.1, 1.1, "1.1", 0.00001, "0.00001", 15, "15%", True, None])
def test_what_is_no_discount(discount: Any) -> None:
    """Below zero, above one, finer than a basis point: refused."""
    with pytest.raises(ValidationError):
        priced(1, discount)


def test_a_line_without_a_discount() -> None:
    """A discount that is left out is none."""
    assert PastLine.model_validate(LINE).priced().discount_bp == 0


def test_money_in_another_currency() -> None:
    """A price in another currency than its order's is refused."""
    foreign = {**LINE, "unit_price": {"amount": "1.00", "currency": "EUR"}}
    with pytest.raises(ValidationError, match="EUR"):
        Import.model_validate({"orders": [order(lines=[foreign])]})


def test_at_most_500_orders() -> None:
    """500 orders pass, 501 do not."""
    assert len(Import.model_validate({"orders": [order()] * 500}).past()) == 500
    with pytest.raises(ValidationError):
        Import.model_validate({"orders": [order()] * 501})


@pytest.mark.parametrize(
    "changes",
    [
        {"lines": []},
        {"external_ref": " "},
        {"external_ref": "x" * 65},
        {"currency": "usd"},
        {"placed_at": "yesterday"},
        {"surprise": 1},
        {"lines": [{**LINE, "quantity": 0}]},
        {"lines": [{**LINE, "quantity": "1"}]},
        {"lines": [{**LINE, "quantity": 10_001}]},
        {"lines": [{**LINE, "product_id": 2**63}]},
        {"lines": [{**LINE, "surprise": 1}]},
    ],
)
def test_what_is_no_order(changes: dict[str, Any]) -> None:
    """Empty, overlong, unknown, mistyped and out-of-range parts are refused."""
    with pytest.raises(ValidationError):
        Import.model_validate({"orders": [order(**changes)]})
