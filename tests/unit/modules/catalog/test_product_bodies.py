"""What may be sent to make and to change a product."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from modules.catalog.api.v1 import schemas as v1
from modules.catalog.api.v2 import schemas as v2

NEW: dict[type[BaseModel], dict[str, Any]] = {
    v1.ProductCreate: {"sku": "A", "name": "B", "price_cents": 1800},
    v2.ProductCreate: {"sku": "A", "name": "B", "price": {"amount": "18.00", "currency": "USD"}},
}
PATCHES = (v1.ProductPatch, v2.ProductPatch)


def test_both_versions_mean_the_same() -> None:
    """A product made through either version is the same product, with the same defaults."""
    old = v1.ProductCreate.model_validate(NEW[v1.ProductCreate]).values()
    new = v2.ProductCreate.model_validate(NEW[v2.ProductCreate]).values()
    assert old == new
    assert (old["category"], old["stock"], old["is_active"]) == (None, 0, True)
    assert (old["price_minor"], old["currency"]) == (1800, "USD")


@pytest.mark.parametrize("schema", NEW)
@pytest.mark.parametrize(
    "changes",
    [
        {"sku": ""},
        {"sku": "  "},
        {"sku": "x" * 65},
        {"sku": 5},
        {"sku": "a\x00b"},
        {"name": "\ud800"},
        {"name": None},
        {"stock": -1},
        {"stock": True},
        {"stock": "1"},
        {"stock": 2**64},
        {"is_active": "yes"},
        {"is_active": None},
        {"id": 1},
    ],
)
def test_what_is_no_product(schema: type[BaseModel], changes: dict[str, Any]) -> None:
    """Empty, overlong, unstorable, mistyped, null and unknown fields are refused."""
    with pytest.raises(ValidationError):
        schema.model_validate({**NEW[schema], **changes})


@pytest.mark.parametrize("cents", [-1, 10**14, 2**64, 1.5, "1800", None])
def test_what_is_no_price_in_cents(cents: Any) -> None:
    """A v1 price is a whole number that v2 can write too."""
    with pytest.raises(ValidationError):
        v1.ProductCreate.model_validate({**NEW[v1.ProductCreate], "price_cents": cents})


@pytest.mark.parametrize("amount", ["-1", "1.005", "1e3", "", "9" * 13, 18, 18.0, None])
def test_what_is_no_amount(amount: Any) -> None:
    """A v2 price is a decimal text of at most twelve digits and two decimals."""
    price = {"amount": amount, "currency": "USD"}
    with pytest.raises(ValidationError):
        v2.ProductCreate.model_validate({**NEW[v2.ProductCreate], "price": price})


@pytest.mark.parametrize("schema", PATCHES)
def test_a_patch_holds_what_was_sent(schema: type[v1.ProductPatch]) -> None:
    """What was left out does not change; null clears the category."""
    assert schema.model_validate({}).changes() == {}
    assert schema.model_validate({"category": None}).changes() == {"category": None}
    assert schema.model_validate({"stock": 0}).changes() == {"stock": 0}


@pytest.mark.parametrize("schema", PATCHES)
@pytest.mark.parametrize("name", ["sku", "name", "stock", "is_active"])
def test_null_clears_nothing_else(schema: type[v1.ProductPatch], name: str) -> None:
    """Null is refused wherever a product needs a value."""
    with pytest.raises(ValidationError):
        schema.model_validate({name: None})


def test_a_price_patch_in_each_version() -> None:
    """v1 may change price or currency alone; v2 changes both as one."""
    assert v1.ProductPatch.model_validate({"price_cents": 5}).changes() == {"price_minor": 5}
    assert v1.ProductPatch.model_validate({"currency": "EUR"}).changes() == {"currency": "EUR"}
    patch = v2.ProductPatch.model_validate({"price": {"amount": "0.05", "currency": "EUR"}})
    assert patch.changes() == {"price_minor": 5, "currency": "EUR"}
