"""Schemathesis calls every operation of both versions, as nobody, as a user and as an admin.

What it sends follows from the schema and is the same in every run (derandomized): data that should
do, data that should not, and the edges of both. TESSERA_TEST_EXAMPLES says how many an operation.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.python.asgi import ASGIClient
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    positive_data_acceptance,
    unsupported_method,
)

from core.app import Tessera
from core.generation import compose
from core.process import Resources
from tests.support.apps import settings_for
from tests.support.people import PASSWORD, QUICK

MODULES = ("users", "auth", "catalog", "orders", "cache")
EXAMPLES = int(os.environ.get("TESSERA_TEST_EXAMPLES", "10"))
_numbers = itertools.count(1)

# Phase.shrink finds the smallest failing example; there is no database of failures to reuse.
run_settings = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


# All of Schemathesis's checks hold but these:
EXCLUDED = (
    # What a schema allows may still be refused for what it means: a product that is not there, a
    # name of blanks, a cursor that nobody gave. 422 says so, and is documented.
    positive_data_acceptance,
    # On the two paths below: PUT /users/me is, as FastAPI routes it, PUT /users/{user_id} with an
    # id that is none, and answered with that operation's 422.
    unsupported_method,
    allow_header_conformance,
)
SHADOWING = ("/users/me", "/orders/import")


def schema_of(version: str) -> Any:
    """The version's schema, built without a server; pytest needs the operations to collect."""
    chosen = settings_for("sqlite+aiosqlite://", *MODULES)
    document = compose(chosen, resources=Resources(chosen)).versions[version].openapi()
    return schemathesis.openapi.from_dict({**document, "servers": [{"url": f"/{version}"}]})


class Caller:
    """Sends cases as somebody. Signs up anew when a case took the account away."""

    def __init__(self, role: str, client: ASGIClient, database: Path) -> None:
        self.role, self.client, self.database = role, client, database
        self.headers: dict[str, str] = {}
        self.doubtful = role != "nobody"

    def check(self, case: Any) -> None:
        """Send a case and hold the answer against the schema."""
        if self.doubtful:
            self.be_well()
        self.doubtful = self.role == "admin" and case.path.startswith("/users/{")
        excluded = EXCLUDED if case.path in SHADOWING else EXCLUDED[:1]
        case.call_and_validate(
            session=self.client, headers=self.headers, excluded_checks=list(excluded)
        )

    def be_well(self) -> None:
        """See to it that the account is there, with its role."""
        me = self.client.get("/v2/auth/me", headers=self.headers)
        if me.status_code != 200 or me.json()["role"] != self.role:
            self.sign_up()

    def post(self, path: str, body: dict[str, Any]) -> None:
        """Make something; it must succeed."""
        assert self.client.post(path, json=body, headers=self.headers).status_code == 201

    def sign_up(self) -> None:
        """A new account of this role."""
        email = f"{self.role}{next(_numbers)}@schemathesis.example"
        body = {"name": "Fuzz", "email": email, "password": PASSWORD}
        assert self.client.post("/v2/auth/register", json=body).status_code == 201
        with sqlite3.connect(self.database, timeout=10) as connection:
            connection.execute(
                "UPDATE users_users SET role = ? WHERE email = ?", (self.role, email)
            )
        form = {"username": email, "password": PASSWORD}
        token = self.client.post("/v2/auth/login", data=form).json()["access_token"]
        self.headers = {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Caller]]:
    """Callers by role, on one application."""
    database = tmp_path_factory.mktemp("schemathesis") / "tessera.db"
    chosen = settings_for(
        f"sqlite+aiosqlite:///{database}",
        *MODULES,
        modules={"auth": {**QUICK, "access_minutes": 600}},
    )
    known: dict[str, Caller] = {}
    with ASGIClient(Tessera(chosen, migrate=True, quiet=True)) as client:
        stock_up(Caller("admin", client, database))
        yield lambda role: known.setdefault(role, Caller(role, client, database))


def stock_up(admin: Caller) -> None:
    """Users, products and orders under small ids, so that cases find something."""
    admin.sign_up()
    for number in range(1, 21):
        body = {"name": "Anybody", "email": f"any{number}@schemathesis.example"}
        admin.post("/v2/users", body)
        price = {"amount": "18.00", "currency": "USD"}
        admin.post(
            "/v2/products", {"sku": f"S-{number}", "name": "Chai", "price": price, "stock": 9}
        )
        admin.post("/v2/orders", {"lines": [{"product_id": number, "quantity": 2}]})


v1, v2 = schema_of("v1"), schema_of("v2")
ROLES = pytest.mark.parametrize("role", ["nobody", "user", "admin"])


@ROLES
@v1.parametrize()
@run_settings
def test_version_1_does_what_its_schema_says(
    case: Any, role: str, callers: Callable[[str], Caller]
) -> None:
    """Whatever is sent to version 1, no answer is a 5xx or one that its schema does not know."""
    callers(role).check(case)


@ROLES
@v2.parametrize()
@run_settings
def test_version_2_does_what_its_schema_says(
    case: Any, role: str, callers: Callable[[str], Caller]
) -> None:
    """Whatever is sent to version 2, no answer is a 5xx or one that its schema does not know."""
    callers(role).check(case)
