"""A deployment with users and auth, and people who use it over HTTP."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from core.context import Context
from modules.users.service import UserService
from tests.support.apps import serving

PASSWORD = "a long enough password"
QUICK = {"argon2_memory_kib": 8192, "argon2_iterations": 1, "failures_per_address": 100_000}
_numbers = itertools.count(1)


@dataclass
class Person:
    """Somebody who is registered, and signed in when there are tokens."""

    id: int
    email: str
    password: str = PASSWORD
    tokens: dict[str, Any] = field(default_factory=dict)

    @property
    def bearer(self) -> dict[str, str]:
        """The header that says who calls."""
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}

    @property
    def refresh(self) -> dict[str, str]:
        """The body that asks for new tokens."""
        return {"refresh_token": self.tokens["refresh_token"]}


class People:
    """Calls one version of a started deployment."""

    def __init__(self, client: TestClient, version: str = "v1") -> None:
        self.client = client
        self.version = version

    def call(self, method: str, path: str, *, by: Person | None = None, **options: Any) -> Response:
        """A request to this version, with the token of `by`."""
        headers = {**(by.bearer if by else {}), **options.pop("headers", {})}
        return self.client.request(method, f"/{self.version}{path}", headers=headers, **options)

    def new_email(self) -> str:
        """An address that nobody has."""
        return f"person{next(_numbers)}@people.example"

    def register(self, email: str | None = None, password: str = PASSWORD) -> Response:
        """Ask for a new user."""
        body = {"name": "Somebody", "email": email or self.new_email(), "password": password}
        return self.call("POST", "/auth/register", json=body)

    def login(self, email: str, password: str = PASSWORD) -> Response:
        """Ask for tokens."""
        form = {"username": email, "password": password}
        return self.call("POST", "/auth/login", data=form)

    def sign_in(self, person: Person) -> Person:
        """New tokens for somebody."""
        answer = self.login(person.email, person.password)
        assert answer.status_code == 200, answer.text
        person.tokens = answer.json()
        return person

    def somebody(self) -> Person:
        """A new user, signed in."""
        answer = self.register()
        assert answer.status_code == 201, answer.text
        return self.sign_in(Person(answer.json()["id"], answer.json()["email"]))

    def admin(self) -> Person:
        """A new admin, signed in; made as the command line makes one."""
        email = self.new_email()

        async def make(context: Context) -> int:
            users = context.service(UserService)
            hashed = await users.hash_if_kept(PASSWORD)
            async with context.write() as session:
                await users.make_admin(session, name="Admin", email=email, password_hash=hashed)
                made = await users.by_email(session, email)
            assert made is not None
            return made.id

        return self.sign_in(Person(self.inside("users", make), email))

    def moderator(self, admin: Person) -> Person:
        """A new moderator, signed in."""
        person = self.somebody()
        role = {"role": "moderator"}
        assert self.call("PUT", f"/users/{person.id}/role", by=admin, json=role).is_success
        return person

    def inside(self, module: str, action: Callable[[Context], Any]) -> Any:
        """What `action` gives on the server's own loop, with a module's context."""
        app: Any = self.client.app
        return self.client.portal.call(action, app.generation.contexts[module])  # type: ignore[union-attr]

    def me(self, person: Person) -> Response:
        """Ask who one is."""
        return self.call("GET", "/auth/me", by=person)


def at_once(times: int, action: Callable[[int], Response]) -> list[Response]:
    """The answers to `times` requests that are under way together."""
    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(action, range(times)))


@contextmanager
def people(database_url: str, version: str = "v1", **auth: Any) -> Iterator[People]:
    """A deployment with users and auth; `auth` are settings of auth."""
    modules = {"auth": {**QUICK, **auth}}
    with serving(database_url, "users", "auth", modules=modules) as client:
        yield People(client, version)


@pytest.fixture(scope="module")
def deployment(module_database_url: str) -> Iterator[TestClient]:
    """A deployment that a file's tests share: each makes its own people."""
    with people(module_database_url) as some:
        yield some.client


@pytest.fixture(params=["v1", "v2"])
def here(request: pytest.FixtureRequest, deployment: TestClient) -> People:
    """The people of one version."""
    return People(deployment, request.param)
