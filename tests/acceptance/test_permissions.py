"""Every operation of both versions, called by everybody: only what the permission table says.

The table is CONTRACT's, written down once more by hand; the operations come from the schemas of the
running application. An operation without a row here fails, so nobody can forget one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from httpx2 import Response

from tests.support.people import Person
from tests.support.requests import Operation, RequestMaker, operations
from tests.support.rows import contents
from tests.support.shop import Shop, open_shop

ROLES = {
    "user": {"orders:create"},
    "moderator": {"orders:read-all", "orders:manage", "catalog:write"},
    "admin": {
        *("users:manage", "catalog:write", "cache:manage"),
        *("orders:create", "orders:read-all", "orders:manage", "orders:import"),
    },
}


class Rule(NamedTuple):
    """Who may call: `access` as the schema says it, `unless` the target is one's own.

    `holders` may have it although it is another's; others get `refusal` then.
    """

    access: str
    own: bool = False
    holders: str = ""
    refusal: int = 403


PUBLIC, SIGNED_IN = Rule("public"), Rule("signed-in")
MANAGE_USERS, WRITE_CATALOG = Rule("users:manage"), Rule("catalog:write")
CACHE = Rule("cache:manage")
ONESELF = Rule("signed-in", own=True, holders="users:manage")
OWN_ORDER = Rule("signed-in", own=True, holders="orders:read-all", refusal=404)
OWNER_ONLY = Rule("signed-in", own=True, refusal=404)

BOTH = {
    ("POST", "/auth/register"): PUBLIC,
    ("POST", "/auth/login"): PUBLIC,
    ("POST", "/auth/refresh"): PUBLIC,
    ("POST", "/auth/logout"): PUBLIC,
    ("GET", "/auth/me"): SIGNED_IN,
    ("GET", "/users/me"): SIGNED_IN,
    ("GET", "/users"): MANAGE_USERS,
    ("POST", "/users"): MANAGE_USERS,
    ("DELETE", "/users/{user_id}"): MANAGE_USERS,
    ("GET", "/users/{user_id}"): ONESELF,
    ("PATCH", "/users/{user_id}"): ONESELF,
    ("PUT", "/users/{user_id}"): ONESELF,
    ("PUT", "/users/{user_id}/role"): MANAGE_USERS,
    ("PUT", "/users/{user_id}/active"): MANAGE_USERS,
    ("GET", "/products"): PUBLIC,
    ("GET", "/products/{product_id}"): PUBLIC,
    ("POST", "/products"): WRITE_CATALOG,
    ("PATCH", "/products/{product_id}"): WRITE_CATALOG,
    ("DELETE", "/products/{product_id}"): WRITE_CATALOG,
    ("POST", "/orders"): Rule("orders:create"),
    ("GET", "/orders"): SIGNED_IN,
    ("GET", "/orders/{order_id}"): OWN_ORDER,
    ("POST", "/orders/{order_id}/cancel"): OWNER_ONLY,
    ("PATCH", "/orders/{order_id}"): Rule("orders:manage"),
    ("GET", "/cache/stats"): CACHE,
    ("DELETE", "/cache"): CACHE,
}
TABLE = {
    "v1": BOTH,
    "v2": {**BOTH, ("POST", "/orders/import"): Rule("orders:import")},
}
CALLERS = ("nobody", "user A", "user B", "moderator", "admin")
"""Whatever an operation is about belongs to user A."""
CASES = [(v, *call, who) for v, rules in TABLE.items() for call in rules for who in CALLERS]


def expected(rule: Rule, caller: str) -> int:
    """0 for may, else the status that says no."""
    if rule.access == "public":
        return 0
    if caller == "nobody":
        return 401
    permissions = ROLES[caller.split(maxsplit=1)[0]]
    if rule.access != "signed-in":
        return 0 if rule.access in permissions else 403
    may = not rule.own or caller == "user A" or rule.holders in permissions
    return 0 if may else rule.refusal


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shop keeps its rows."""
    return tmp_path_factory.mktemp("permissions") / "shop.db"


@pytest.fixture(scope="module")
def shop(database: Path) -> Iterator[Shop]:
    """All modules, with people of every role."""
    with open_shop(f"sqlite+aiosqlite:///{database}", "cache") as opened:
        yield opened


@pytest.fixture(scope="module")
def schemas(shop: Shop) -> dict[str, dict[str, Any]]:
    """Both versions' schemas, from the running application."""
    return {v: shop.client.get(f"/{v}/openapi.json").json() for v in TABLE}


@pytest.mark.parametrize("version", TABLE)
def test_every_operation_stands_in_the_table(
    version: str, schemas: dict[str, dict[str, Any]]
) -> None:
    """The schema has the table's operations and no others, and says the same of who may call."""
    said = {call: op["x-access"] for call, op in operations(schemas[version]).items()}
    assert said == {call: rule.access for call, rule in TABLE[version].items()}


@pytest.mark.parametrize(("version", "method", "path", "caller"), CASES)
def test_only_what_the_table_says(
    version: str,
    method: str,
    path: str,
    caller: str,
    *,
    shop: Shop,
    schemas: dict[str, dict[str, Any]],
    database: Path,
) -> None:
    """A valid request succeeds for those who may; others get 401, 403, 404, and no row changes."""
    target = Target(shop, path, method)
    operation = operations(schemas[version])[method, path]
    people = {"nobody": None, "user A": target.owner, "user B": shop.bob}
    who = {**people, "moderator": shop.moderator, "admin": shop.admin}[caller]
    refusal = expected(TABLE[version][method, path], caller)
    before = contents(f"sqlite:///{database}") if refusal else {}
    answer = send(target, f"/{version}{path}", operation, schema=schemas[version], who=who)
    if not refusal:
        assert answer.is_success, answer.text
        return
    assert answer.status_code == refusal, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert ("WWW-Authenticate" in answer.headers) == (refusal == 401)
    assert contents(f"sqlite:///{database}") == before


class Target:
    """What an operation is about: user A and what is theirs, made anew where it may be spent."""

    def __init__(self, shop: Shop, path: str, method: str) -> None:
        self.shop, self.method = shop, method
        spent = path.startswith(("/users/{", "/auth"))
        self.owner = shop.people.somebody() if spent else shop.ann
        self.product = shop.product()
        self.order = (
            shop.placed(self.owner, (self.product, 1)) if path.startswith("/orders/{") else {}
        )

    def ids(self) -> dict[str, Any]:
        """What stands in the path."""
        order_id = self.order.get("id")
        return {"user_id": self.owner.id, "product_id": self.product["id"], "order_id": order_id}

    def known(self) -> dict[str, Any]:
        """What a schema cannot know: who there is, and what follows in a state machine."""
        return {
            "username": self.owner.email,
            "password": self.owner.password,
            "refresh_token": self.owner.tokens.get("refresh_token"),
            "product_id": self.product["id"],
            "customer_email": self.owner.email,
            "status": "paid",
        }


def send(
    target: Target, path: str, operation: Operation, *, schema: dict[str, Any], who: Person | None
) -> Response:
    """The smallest valid request of the operation."""
    maker = RequestMaker(schema, target.known())
    return target.shop.client.request(
        target.method,
        path.format(**target.ids()),
        headers=who.bearer if who else {},
        params=maker.query(operation),
        **maker.body(operation),
    )
