"""users without anybody who keeps passwords."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from core.context import Context
from core.errors import Unprocessable
from modules.users.contracts import EmailTaken, Users
from modules.users.service import UserService
from tests.support.apps import serving
from tests.support.people import People


@pytest.fixture
def alone(database_url: str) -> Iterator[People]:
    """A deployment with users and without auth."""
    with serving(database_url, "users") as client:
        yield People(client)


def test_nobody_can_sign_in(alone: People) -> None:
    """No address of auth, no scheme in the schema, and every route of users a 401."""
    assert alone.login("a@b.example").status_code == 404
    assert alone.call("GET", "/users").status_code == 401
    schema = alone.client.get("/v1/openapi.json").json()
    assert "securitySchemes" not in schema["components"]


def test_a_password_that_nobody_keeps_is_refused(alone: People) -> None:
    """A user with a password is a 422 and not made; one without is made."""

    async def make(context: Context) -> None:
        users = context.service(UserService)
        with pytest.raises(Unprocessable):
            async with context.write() as session:
                await users.create(session, name="N", email="n@b.example", password="a" * 8)
        async with context.write() as session:
            assert await users.by_email(session, "n@b.example") is None
            await users.create(session, name="N", email="n@b.example")

    alone.inside("users", make)


def test_other_modules_ask_by_contract(alone: People) -> None:
    """Users by id, by address in any case, and the ids of many addresses as they were given."""

    async def ask(context: Context) -> None:
        users = context.service(Users)  # type: ignore[type-abstract]
        async with context.write() as session:
            ada = await users.register(session, name="Ada", email="Ada@B.example")
            bob = await users.register(session, name="Bob", email="bob@b.example", role="admin")
        async with context.read() as session:
            assert await users.get(session, ada.id) == ada
            assert await users.get(session, 999_999) is None
            assert await users.by_email(session, " ADA@b.example") == ada
            assert await users.by_email(session, "no address") is None
            asked = ["ADA@b.example", "bob@b.example", "eve@b.example", "x", "a\x00@b.c"]
            found = await users.ids_by_email(session, asked)
            assert found == {"ADA@b.example": ada.id, "bob@b.example": bob.id}
            assert await users.ids_by_email(session, []) == {}
            standing = await users.standing(session, bob.id)
            assert standing is not None
            assert (standing.role, standing.is_active, standing.epoch) == ("admin", True, 0)
            assert await users.standing(session, 999_999) is None

    alone.inside("users", ask)


def test_a_taken_address_leaves_the_transaction_usable(alone: People) -> None:
    """Whoever registers many users may skip those who are there."""

    async def ask(context: Context) -> None:
        users = context.service(Users)  # type: ignore[type-abstract]
        async with context.write() as session:
            await users.register(session, name="One", email="one@b.example")
            with pytest.raises(EmailTaken):
                await users.register(session, name="Two", email="ONE@b.example")
            await users.register(session, name="Three", email="three@b.example")
        async with context.read() as session:
            emails = ["one@b.example", "three@b.example"]
            assert len(await users.ids_by_email(session, emails)) == 2

    alone.inside("users", ask)


def test_of_two_transactions_with_one_address_one_is_told_that_it_is_taken(alone: People) -> None:
    """The database decides, not a look beforehand."""

    async def register(context: Context) -> str:
        users = context.service(Users)  # type: ignore[type-abstract]
        try:
            async with context.write() as session:
                await users.register(session, name="N", email="race@b.example")
                await asyncio.sleep(0.05)
        except EmailTaken:
            return "taken"
        return "made"

    async def race(context: Context) -> list[str]:
        return list(await asyncio.gather(*(register(context) for _ in range(4))))

    assert sorted(alone.inside("users", race)) == ["made", "taken", "taken", "taken"]
