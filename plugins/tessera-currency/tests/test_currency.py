"""Rates over HTTP, and what orders makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.plugin import Refused
from core.testing import AppFactory, Client

RATES = '{"USD": "1", "EUR": "0.92", "SEK": 10.5, "IQD": "1e9"}'


@pytest.fixture
def rates_file(tmp_path: Path) -> Path:
    path = tmp_path / "rates.json"
    path.write_text(RATES)
    return path


@pytest.fixture
def shop(app_factory: AppFactory, rates_file: Path) -> Client:
    """Version 2 of a shop with these rates, for an admin."""
    settings = {"modules": {"currency": {"rates_file": str(rates_file)}}}
    return app_factory(modules=["currency"], settings=settings).client("v2").as_user("admin")


def product(shop: Client, amount: str, currency: str) -> int:
    price = {"amount": amount, "currency": currency}
    body = {"sku": f"{amount}{currency}", "name": "Tea", "stock": 10, "price": price}
    return int(shop.post("/products", json=body).json()["id"])


def order(shop: Client, *products: int) -> Any:
    lines = [{"product_id": it, "quantity": 1} for it in products]
    return shop.post("/orders", json={"lines": lines})


def test_the_rates(shop: Client, app_factory: AppFactory) -> None:
    """Everybody may see them, in version 2 only."""
    anybody = app_factory.newest.client("v2")
    found = anybody.get("/currency/rates").json()["rates"]
    assert found == {"USD": "1", "EUR": "0.92", "SEK": "10.5", "IQD": "1000000000"}
    assert app_factory.newest.client("v1").get("/currency/rates").status_code == 404


@pytest.mark.parametrize(
    ("amount", "source", "target", "converted", "rate"),
    [
        ("18.00", "USD", "EUR", "16.56", "0.92"),
        ("10.5", "SEK", "USD", "1.00", "0.09523809523809523809523809524"),
        ("0.01", "EUR", "USD", "0.01", "1.086956521739130434782608696"),
        ("7", "GBP", "GBP", "7.00", "1"),
    ],
)
def test_conversion(
    shop: Client, amount: str, source: str, target: str, converted: str, rate: str
) -> None:
    """Both amounts and the rate; half up to the cent."""
    asked = {"amount": amount, "from": source, "to": target}
    shown = shop.get("/currency/convert", params=asked).json()
    assert shown["to"] == {"amount": converted, "currency": target}
    assert shown["from"]["currency"] == source
    assert shown["rate"] == rate


@pytest.mark.parametrize(
    ("wrong", "place", "kind"),
    [
        ({"from": "GBP"}, ["query", "from"], "no-rate"),
        ({"to": "GBP"}, ["query", "to"], "no-rate"),
        ({"to": "euro"}, ["query", "to"], "validation"),
        ({"amount": "-1"}, ["query", "amount"], "validation"),
        ({"amount": "1e3"}, ["query", "amount"], "validation"),
        ({"amount": "999999999999", "to": "IQD"}, ["query", "amount"], "validation"),
    ],
)
def test_what_cannot_be_converted(
    shop: Client, wrong: dict[str, str], place: list[str], kind: str
) -> None:
    """A currency without a rate, or an amount that is none, is a 422 that says where."""
    asked = {"amount": "18.00", "from": "USD", "to": "EUR", **wrong}
    answer = shop.get("/currency/convert", params=asked)
    assert answer.status_code == 422
    document = answer.json()
    assert document["type"] == f"/problems/{kind}"
    assert document["errors"][0]["loc"] == place


def test_orders_mix_currencies(shop: Client) -> None:
    """An order is in the currency of its first line; prices of others are converted."""
    euro, dollar = product(shop, "10.00", "EUR"), product(shop, "10.00", "USD")
    shown = order(shop, dollar, euro).json()
    assert shown["total"] == {"amount": "20.87", "currency": "USD"}
    assert order(shop, euro, dollar).json()["total"] == {"amount": "19.20", "currency": "EUR"}


def test_a_currency_that_nobody_knows(shop: Client) -> None:
    """Without a rate the order is refused as before."""
    pound, dollar = product(shop, "10.00", "GBP"), product(shop, "10.00", "USD")
    answer = order(shop, pound, dollar)
    assert answer.status_code == 422
    assert "GBP and USD" in answer.json()["detail"]


@pytest.mark.parametrize("content", [None, "{}", '{"USD": 0}'])
def test_a_bad_file_fails_this_module(
    app_factory: AppFactory, rates_file: Path, content: str | None
) -> None:
    """A file that cannot be used keeps the module out, and says key and reason."""
    if content is None:
        rates_file.unlink()
    else:
        rates_file.write_text(content)
    settings = {"modules": {"currency": {"rates_file": str(rates_file)}}}
    with pytest.raises(Refused, match=r"modules\.currency\.rates_file"):
        app_factory(modules=["currency"], settings=settings)


def test_a_file_must_be_named(app_factory: AppFactory) -> None:
    """Without rates_file there is no module."""
    with pytest.raises(Refused, match=r"modules\.currency\.rates_file"):
        app_factory(modules=["currency"])


def test_orders_go_on_without_it(app_factory: AppFactory, tmp_path: Path) -> None:
    """A failed replacement leaves orders its own rates: one currency an order."""
    currency = {"rates_file": str(tmp_path / "none.json"), "required": False}
    app = app_factory(modules=["orders"], settings={"modules": {"currency": currency}})
    shop = app.client("v2").as_user("admin")
    euro, dollar = product(shop, "10.00", "EUR"), product(shop, "10.00", "USD")
    assert order(shop, euro).status_code == 201
    assert order(shop, euro, dollar).status_code == 422
    failed = app.client(None).get("/readyz").json()["modules"]["currency"]
    assert "No such file" in failed["reason"]


def test_the_file_is_read_at_each_build(app_factory: AppFactory, rates_file: Path) -> None:
    """A new generation has the rates that the file holds by then."""
    settings = {"modules": {"currency": {"rates_file": str(rates_file)}}}
    asked = {"amount": "1.00", "from": "USD", "to": "EUR"}
    for rate in ("0.92", "0.95"):
        rates_file.write_text(f'{{"USD": 1, "EUR": {rate}}}')
        client = app_factory(modules=["currency"], settings=settings).client("v2")
        assert client.get("/currency/convert", params=asked).json()["to"]["amount"] == rate
