"""users without anybody who keeps passwords."""

from __future__ import annotations

import asyncio

import pytest

from core.context import Context
from core.errors import Unprocessable
from core.testing import AppFactory, KitSession, RunningApp
from modules.users.contracts import EmailTaken, Users
from modules.users.service import UserService


@pytest.fixture
def alone(app_factory: AppFactory, database_url: str) -> RunningApp:
    """A deployment with users and without auth."""
    return app_factory(["users"], database_url=database_url)


def test_nobody_can_sign_in(alone: RunningApp) -> None:
    """No address of auth, no scheme in the schema, and every route of users a 401."""
    here = alone.client()
    assert here.post("/auth/login", data={}).status_code == 404
    assert here.get("/users").status_code == 401
    assert "securitySchemes" not in here.get("/openapi.json").json()["components"]


async def test_a_password_that_nobody_keeps_is_refused(
    alone: RunningApp, session: KitSession
) -> None:
    """A user with a password is a 422 and not made; one without is made."""
    users = alone.service(UserService)
    with pytest.raises(Unprocessable):
        await users.create(session, name="N", email="n@b.example", password="a" * 8)
    assert await users.by_email(session, "n@b.example") is None
    await users.create(session, name="N", email="n@b.example")


async def test_other_modules_ask_by_contract(alone: RunningApp, session: KitSession) -> None:
    """Users by id, by address in any case, and the ids of many addresses as they were given."""
    users = alone.service(Users)  # type: ignore[type-abstract]
    ada = await users.register(session, name="Ada", email="Ada@B.example")
    bob = await users.register(session, name="Bob", email="bob@b.example", role="admin")
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


def test_a_taken_address_leaves_the_transaction_usable(alone: RunningApp) -> None:
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

    alone.run(ask, alone.context("users"))


def test_of_two_transactions_with_one_address_one_is_told_that_it_is_taken(
    alone: RunningApp,
) -> None:
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

    assert sorted(alone.run(race, alone.context("users"))) == ["made", "taken", "taken", "taken"]
