"""A shop to test: users, auth, catalog and orders over HTTP, with people of every role."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

from core.http.schemas import MAX_ID
from tests.support.apps import serving
from tests.support.people import QUICK, People, Person

MODULES = ("users", "auth", "catalog", "orders")
MISSING = MAX_ID - 1
"""An id that nothing has."""
_numbers = itertools.count(1)


class Shop:
    """A running application and what tests do with it again and again."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.people = People(client, "v2")
        self.admin = self.people.admin()
        self.moderator = self.people.moderator(self.admin)
        self.ann = self.people.somebody()
        self.bob = self.people.somebody()

    def call(
        self, method: str, path: str, by: Person | None = None, json: Any = None, **options: Any
    ) -> Response:
        """A request; `path` begins with the version."""
        headers = by.bearer if by else {}
        return self.client.request(method, path, headers=headers, json=json, **options)

    def product(self, **fields: Any) -> dict[str, Any]:
        """A new product, 18.00 USD and ten in stock unless said; as version 2 shows it."""
        number = next(_numbers)
        price = {"amount": "18.00", "currency": "USD"}
        body = {"sku": f"SKU-{number}", "name": f"Product {number}", "stock": 10, "price": price}
        made = self.call("POST", "/v2/products", self.moderator, {**body, **fields})
        assert made.status_code == 201, made.text
        return dict(made.json())

    def stock(self, product: dict[str, Any]) -> int:
        """What is left of a product."""
        return int(self.call("GET", f"/v2/products/{product['id']}").json()["stock"])

    def order(self, who: Person | None, *lines: tuple[Any, Any], version: str = "v2") -> Response:
        """Place an order of (product or its id, quantity)."""
        wanted = [
            {"product_id": it["id"] if isinstance(it, dict) else it, "quantity": quantity}
            for it, quantity in lines
        ]
        return self.call("POST", f"/{version}/orders", who, {"lines": wanted})

    def placed(self, who: Person, *lines: tuple[Any, int]) -> dict[str, Any]:
        """The order as placed; of one new product unless said."""
        answer = self.order(who, *(lines or [(self.product(), 1)]))
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def move(self, order: dict[str, Any], *statuses: str, version: str = "v2") -> Response:
        """Take an order through these states as the moderator; the last answer."""
        path = f"/{version}/orders/{order['id']}"
        answers = [self.call("PATCH", path, self.moderator, {"status": it}) for it in statuses]
        return answers[-1]

    def at_once(self, calls: Sequence[Callable[[], Response]]) -> list[int]:
        """Make all calls at the same time; their status codes."""
        with ThreadPoolExecutor(len(calls)) as threads:
            return [f.result().status_code for f in [threads.submit(call) for call in calls]]


@contextmanager
def open_shop(database_url: str, *more: str, **sections: Any) -> Iterator[Shop]:
    """A shop on that database; `more` are modules beside its four."""
    modules = {"auth": QUICK, **sections.pop("modules", {})}
    with serving(database_url, *MODULES, *more, modules=modules, **sections) as client:
        yield Shop(client)


def problem(answer: Response, status: int, slug: str | None = None) -> dict[str, Any]:
    """The problem document of an answer, which must be one of that status (and type)."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = dict(answer.json())
    assert document["status"] == status
    if slug:
        assert document["type"] == f"/problems/{slug}"
    return document
