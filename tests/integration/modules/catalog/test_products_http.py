"""The catalogue's routes in both versions, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.shop import MISSING, Shop, problem

V1 = {"price_cents": 1850, "currency": "EUR"}
V2 = {"price": {"amount": "18.50", "currency": "EUR"}}
PRICES = {"v1": V1, "v2": V2}
both = pytest.mark.parametrize("version", ["v1", "v2"])


@both
def test_a_product_is_made_and_read(shop: Shop, version: str) -> None:
    """POST answers 201 with the product, and GET gives the same to anybody."""
    body = {
        "sku": f"MADE-{version}",
        "name": "Räucherlachs",
        "category": "Seafood",
        "stock": 3,
        "is_active": False,
        **PRICES[version],
    }
    made = shop.call("POST", f"/{version}/products", shop.moderator, body)
    assert made.status_code == 201, made.text
    assert made.json() == {"id": made.json()["id"], **body}
    assert shop.call("GET", f"/{version}/products/{made.json()['id']}").json() == made.json()


@both
def test_what_may_be_left_out(shop: Shop, version: str) -> None:
    """SKU, name and price suffice: no category, nothing in stock, for sale, US dollars in v1."""
    price: dict[str, Any] = {"v1": {"price_cents": 5}, "v2": V2}[version]
    body = {"sku": f"LEAST-{version}", "name": "Least", **price}
    made = shop.call("POST", f"/{version}/products", shop.admin, body).json()
    assert (made["category"], made["stock"], made["is_active"]) == (None, 0, True)
    assert version == "v2" or made["currency"] == "USD"


@both
@pytest.mark.parametrize("missing", ["sku", "name", "price"])
def test_what_may_not_be_left_out(shop: Shop, version: str, missing: str) -> None:
    """Without SKU, name or price there is no product; the error says which is missing."""
    body = {"sku": "NONE", "name": "None", **PRICES[version]}
    name = "price_cents" if (version, missing) == ("v1", "price") else missing
    del body[name]
    answer = shop.call("POST", f"/{version}/products", shop.admin, body)
    assert problem(answer, 422)["errors"][0]["loc"] == ["body", name]


@both
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_who_may_write(shop: Shop, version: str, method: str) -> None:
    """Writing is for holders of catalog:write: 401 for nobody, 403 for a user."""
    path = f"/{version}/products" + ("" if method == "POST" else f"/{shop.product()['id']}")
    problem(shop.call(method, path, None, {}), 401)
    problem(shop.call(method, path, shop.ann, {}), 403)


@both
def test_a_sku_names_one_product(shop: Shop, version: str) -> None:
    """A second product with a SKU is a 409, by POST and by PATCH, and changes nothing."""
    first, second = shop.product(), shop.product()
    body = {"sku": first["sku"], "name": "Twin", **PRICES[version]}
    problem(shop.call("POST", f"/{version}/products", shop.moderator, body), 409, "sku-taken")
    path = f"/{version}/products/{second['id']}"
    answer = shop.call("PATCH", path, shop.moderator, {"sku": first["sku"]})
    problem(answer, 409, "sku-taken")
    assert shop.call("GET", f"/v2/products/{second['id']}").json() == second


def test_a_sku_is_given_once_under_concurrency(shop: Shop) -> None:
    """Of eight who make a product with one SKU at the same time, one succeeds."""
    body = {"sku": "RACE", "name": "Race", **V2}
    make = lambda: shop.call("POST", "/v2/products", shop.moderator, body)  # noqa: E731
    assert sorted(shop.at_once([make] * 8)) == [201] + [409] * 7


@both
def test_a_patch_changes_what_was_sent(shop: Shop, version: str) -> None:
    """PATCH changes the fields sent and no other; null clears the category."""
    product = shop.product(category="Old", stock=7)
    path = f"/{version}/products/{product['id']}"
    changed = shop.call("PATCH", path, shop.moderator, {"name": "New", **PRICES[version]})
    assert changed.status_code == 200
    expected = {**product, "name": "New", **V2}
    assert shop.call("GET", f"/v2/products/{product['id']}").json() == expected
    assert changed.json() == shop.call("GET", path).json()
    cleared = shop.call("PATCH", path, shop.moderator, {"category": None}).json()
    assert cleared["category"] is None
    assert shop.call("PATCH", path, shop.moderator, {}).json() == cleared


@both
@pytest.mark.parametrize(
    "body",
    [
        {"name": None},
        {"sku": None},
        {"stock": None},
        {"is_active": None},
        {"price": None},
        {"price_cents": None},
        {"stock": -1},
        {"stock": 2**63},
        {"name": "a\x00b"},
        {"name": "   "},
        {"surprise": 1},
        {"id": 5},
        [],
        "text",
        None,
    ],
)
def test_a_patch_that_is_refused(shop: Shop, version: str, body: Any) -> None:
    """Null elsewhere, out of range, unstorable, unknown: 422, and nothing changes."""
    product = shop.product()
    answer = shop.call("PATCH", f"/{version}/products/{product['id']}", shop.moderator, body)
    assert problem(answer, 422)["errors"]
    assert shop.call("GET", f"/v2/products/{product['id']}").json() == product


@both
def test_a_deleted_product_is_gone(shop: Shop, version: str) -> None:
    """DELETE answers 204 without a body; from then on the product is a 404."""
    path = f"/{version}/products/{shop.product()['id']}"
    gone = shop.call("DELETE", path, shop.moderator)
    assert (gone.status_code, gone.content) == (204, b"")
    for method in ("GET", "DELETE"):
        problem(shop.call(method, path, shop.moderator), 404)
    problem(shop.call("PATCH", path, shop.moderator, {"stock": 1}), 404)


def test_ids_are_not_given_again(shop: Shop) -> None:
    """The id of the last product, deleted, is not given to the next: old orders speak of it."""
    last = shop.product()["id"]
    shop.call("DELETE", f"/v2/products/{last}", shop.moderator)
    assert shop.product()["id"] > last


@both
def test_ids_in_the_path(shop: Shop, version: str) -> None:
    """An unknown id is a 404; zero, negative, beyond 64 bits or no number at all is a 422."""
    problem(shop.call("GET", f"/{version}/products/{MISSING}"), 404)
    for wrong in (0, -1, 2**63, 2**64, 10**400, "x", "1.5", "%00"):
        problem(shop.call("GET", f"/{version}/products/{wrong}"), 422)


def test_both_versions_show_one_price(shop: Shop) -> None:
    """What v1 calls 999999999999.99 in cents, v2 writes as an amount."""
    body = {"sku": "DEAR", "name": "Dear", "price_cents": 10**14 - 1}
    made = shop.call("POST", "/v1/products", shop.admin, body).json()
    shown = shop.call("GET", f"/v2/products/{made['id']}").json()
    assert shown["price"] == {"amount": "999999999999.99", "currency": "USD"}
