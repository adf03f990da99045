"""Lists of products: pages and searches, in both versions, on both databases."""

from __future__ import annotations

import re
from typing import Any

import pytest

from core.plugin import encode_cursor
from tests.support.shop import Shop, problem

both = pytest.mark.parametrize("version", ["v1", "v2"])


def found(shop: Shop, version: str, **query: Any) -> list[str]:
    answer = shop.call("GET", f"/{version}/products", params={"limit": 100, **query})
    assert answer.status_code == 200, answer.text
    items = answer.json() if version == "v1" else answer.json()["items"]
    return [item["name"] for item in items]


def test_v1_skips_and_counts(shop: Shop) -> None:
    """v1 gives a bare array in the order of ids: skip leaves out so many, limit ends it."""
    names = [shop.product(category="Paged")["name"] for _ in range(5)]
    assert found(shop, "v1", category="Paged") == names
    assert found(shop, "v1", category="Paged", skip=1, limit=3) == names[1:4]
    assert found(shop, "v1", category="Paged", skip=5) == []
    assert found(shop, "v1", category="Paged", skip=2**63 - 1) == []


def test_v2_follows_a_cursor(shop: Shop) -> None:
    """v2 pages cover everything once, in order; the last page's next_cursor is null."""
    names = [shop.product(category="Cursed")["name"] for _ in range(5)]
    seen: list[str] = []
    sizes, cursor = [], ""
    while cursor is not None:
        query = {"category": "Cursed", "limit": 2, "cursor": cursor}
        page = shop.call("GET", "/v2/products", params=query).json()
        seen += [item["name"] for item in page["items"]]
        sizes.append(len(page["items"]))
        cursor = page["next_cursor"]
    assert (seen, sizes) == (names, [2, 2, 1])


def test_a_full_last_page_has_no_next(shop: Shop) -> None:
    """A page that ends exactly at the last row does not promise another."""
    for _ in range(2):
        shop.product(category="Exact")
    page = shop.call("GET", "/v2/products", params={"category": "Exact", "limit": 2}).json()
    assert len(page["items"]) == 2
    assert page["next_cursor"] is None


def test_the_default_limit(shop: Shop) -> None:
    """Without a limit a page has twenty."""
    for _ in range(21):
        shop.product(category="Many")
    assert len(shop.call("GET", "/v1/products?category=Many").json()) == 20
    assert len(shop.call("GET", "/v2/products?category=Many").json()["items"]) == 20


@both
def test_a_search_knows_no_case(shop: Shop, version: str) -> None:
    """`q` is found anywhere in name or SKU, whatever the case, beyond ASCII too."""
    shop.product(name=f"Rössle Straße {version}", sku=f"ÄPFEL-{version}")
    for q in ("rössle", "RÖSSLE", "STRASSE", f"straße {version}", "äpfel-", "PFEL"):
        assert found(shop, version, q=q)[-1] == f"Rössle Straße {version}"


@both
def test_wildcards_are_letters(shop: Shop, version: str) -> None:
    """%, _, and the sign that escapes them mean themselves."""
    sign = f"q{version}"
    for name in (f"{sign} 100% pure", f"{sign} snake_case", f"{sign} a/b\\c", f"{sign} 100 snakes"):
        shop.product(name=name)
    assert found(shop, version, q=f"{sign} 100%") == [f"{sign} 100% pure"]
    assert [n for n in found(shop, version, q="e_c") if sign in n] == [f"{sign} snake_case"]
    assert [n for n in found(shop, version, q="a/b\\c") if sign in n] == [f"{sign} a/b\\c"]
    assert [n for n in found(shop, version, q="%") if sign in n] == [f"{sign} 100% pure"]


@both
def test_a_category_is_exact(shop: Shop, version: str) -> None:
    """`category` is the whole name; it may be combined with `q`; an empty one filters nothing."""
    category = f"Sea food {version}"
    one = shop.product(category=category, name=f"{version} Eel")["name"]
    two = shop.product(category=category, name=f"{version} Cod")["name"]
    shop.product(category=category + "s")
    assert found(shop, version, category=category) == [one, two]
    assert found(shop, version, category=category, q="EEL") == [one]
    assert found(shop, version, category=category.lower()) == []
    assert one in found(shop, version, category="", q=one)


@both
def test_what_is_not_sold_is_listed(shop: Shop, version: str) -> None:
    """An inactive product is in the list, and its flag says so."""
    name = shop.product(is_active=False, name=f"Retired {version}")["name"]
    answer = shop.call("GET", f"/{version}/products", params={"q": name}).json()
    [item] = answer if version == "v1" else answer["items"]
    assert item["is_active"] is False


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "skip=-1",
        f"skip={2**63}",
        f"skip={10**400}",
        "q=%00",
        "category=a%00",
        f"q={'x' * 101}",
    ],
)
def test_v1_queries_that_are_refused(shop: Shop, query: str) -> None:
    """Out of range, no number, unstorable or overlong: 422."""
    problem(shop.call("GET", f"/v1/products?{query}"), 422)


@pytest.mark.parametrize(
    "cursor",
    ["x", "aWQ6", "aWQ6LTE", "%00", "💥", "=" * 9, "a" * 65, encode_cursor(2**63), "bm86MQ"],
)
def test_garbage_cursors(shop: Shop, cursor: str) -> None:
    """A cursor that this service did not give is a 422."""
    problem(shop.call("GET", "/v2/products", params={"cursor": cursor}), 422)


def test_a_cursor_is_opaque(shop: Shop) -> None:
    """A cursor is plain enough for a URL, and one beyond the last row gives an empty page."""
    assert re.fullmatch(r"[A-Za-z0-9_-]+", encode_cursor(2**63 - 1))
    page = shop.call("GET", f"/v2/products?cursor={encode_cursor(2**63 - 1)}").json()
    assert page == {"items": [], "next_cursor": None}
