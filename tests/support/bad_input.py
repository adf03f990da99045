"""What no caller should send: a server for it, and a verdict over what it answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.support.processes import EMAIL, PASSWORD, Installation, Server
from tests.support.requests import Operation, RequestMaker, operations
from tests.support.rows import contents

__all__ = ["SECRET", "UNKNOWN_ID", "VERSIONS", "Api", "Verdict", "api", "verdict"]

SECRET = "a secret that only this test knows, 0123456789"
UNKNOWN_ID = 2**63 - 2
VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])


class Api:
    """A running server with an admin, a user, a product and an order; and its schemas."""

    def __init__(self, server: Server, database_url: str) -> None:
        self.server, self.database_url = server, database_url
        self.client = server.client()
        self.admin = server.login()
        self.user_id, self.user = server.register("victim@tessera.example")
        self.product_id = server.product(self.admin)
        lines = {"lines": [{"product_id": self.product_id, "quantity": 2}]}
        order = self.client.post("/v2/orders", headers=self.user, json=lines)
        self.order_id = order.json()["id"]
        self.schemas = {v: self.client.get(f"/{v}/openapi.json").json() for v in ("v1", "v2")}

    def operations(self, version: str) -> dict[tuple[str, str], Operation]:
        """{(method, path): operation}."""
        return operations(self.schemas[version])

    def body(self, version: str, operation: Operation) -> dict[str, Any]:
        """A valid body with all its fields, as ``json`` or ``data``."""
        known = {
            "username": EMAIL,
            "password": PASSWORD,
            "refresh_token": "x" * 43,
            "product_id": self.product_id,
            "customer_email": "victim@tessera.example",
            "status": "paid",
            "placed_at": "1997-08-25T12:00:00Z",
            "unit_price": "14.00",
            "discount": "0.05",
        }
        return RequestMaker(self.schemas[version], known, full=True).body(operation)

    def path(self, version: str, path: str, **ids: object) -> str:
        """The path with ids that exist, unless others are given."""
        own = {"user_id": self.user_id, "product_id": self.product_id, "order_id": self.order_id}
        return f"/{version}{path.format(**{**own, **ids})}"

    def bodies(self, version: str) -> Iterator[tuple[str, str, Operation, str]]:
        """Method, path, operation and keyword of each operation with a body."""
        for (method, path), operation in self.operations(version).items():
            for keyword in self.body(version, operation):
                yield method, self.path(version, path), operation, keyword


class Verdict:
    """Collects what was wrong, so that one run tells all of it; and holds that no row changed."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.before = self.rows()
        self.wrong: list[str] = []

    def rows(self) -> dict[str, list[Any]]:
        """All rows, but for the attempts to sign in, which are meant to be counted."""
        return contents(self.api.database_url, without=["auth_attempts"])

    def send(
        self, what: str, method: str, path: str, *, statuses: set[int], **options: Any
    ) -> httpx2.Response:
        """Send as admin unless said, and judge the answer."""
        options.setdefault("headers", {})
        headers = {**self.api.admin, **options.pop("headers")}
        answer = self.api.client.request(method, path, headers=headers, **options)
        self.judge(f"{method} {path[:80]} {what}", answer, statuses)
        return answer

    def judge(self, what: str, answer: httpx2.Response, statuses: set[int]) -> None:
        """Whether it is a problem with one of these statuses."""
        kind = answer.headers.get("Content-Type")
        if answer.status_code not in statuses or kind != "application/problem+json":
            self.wrong.append(f"{what}: {answer.status_code} {kind} {answer.text[:200]}")
        elif answer.request.method != "HEAD":
            document = answer.json()
            if document["status"] != answer.status_code or not document["request_id"]:
                self.wrong.append(f"{what}: {document}")

    def give(self) -> None:
        """Fails with all that was wrong."""
        assert not self.wrong, f"{len(self.wrong)} wrong:\n" + "\n".join(self.wrong[:40])
        assert self.rows() == self.before


@pytest.fixture(scope="module")
def api(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One server for all tests of a database; at the end its log must hold no fault."""
    folder = tmp_path_factory.mktemp("bad-input")
    there = Installation(folder, module_database_url, app={"secret_key": SECRET})
    with there.serving() as server:
        there.create_admin()
        opened = Api(server, module_database_url)
        yield opened
        opened.client.close()
        assert server.faults() == []


@pytest.fixture
def verdict(api: Api) -> Iterator[Verdict]:
    """What the test found; given at its end."""
    found = Verdict(api)
    yield found
    found.give()
