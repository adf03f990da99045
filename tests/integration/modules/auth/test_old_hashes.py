"""Users who come from a system with bcrypt."""

from __future__ import annotations

import bcrypt
import pytest
from sqlmodel import col, select, update

from core.context import Context
from modules.auth.models import Credential
from tests.support.people import People, Person

LONG = "a pass phrase of more than seventy-two bytes, which old bcrypt cut off in silence"


def keep_hash(here: People, person: Person, hashed: str) -> None:
    """As an import from the old system would write it."""

    async def write(context: Context) -> None:
        async with context.write() as session:
            of_person = col(Credential.user_id) == person.id
            await session.exec(update(Credential).where(of_person).values(password_hash=hashed))

    here.inside("auth", write)


def kept_hash(here: People, person: Person) -> str:
    """What is in the database."""

    async def read(context: Context) -> str:
        async with context.read() as session:
            query = select(Credential.password_hash).where(Credential.user_id == person.id)
            return (await session.exec(query)).one()

    hashed: str = here.inside("auth", read)
    return hashed


@pytest.mark.parametrize("password", ["old", "an old password", LONG])
@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_an_old_hash_lets_its_user_in_and_is_replaced(
    here: People, password: str, prefix: str
) -> None:
    """Also one that is shorter than the rules of today, or longer than bcrypt reads."""
    person = here.somebody()
    hashed = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    keep_hash(here, person, prefix + hashed[4:])
    assert here.login(person.email, "not this one").status_code == 401
    assert kept_hash(here, person).startswith(prefix)
    assert here.login(person.email, password).status_code == 200
    assert kept_hash(here, person).startswith("$argon2id$")
    assert here.login(person.email, password).status_code == 200


def test_a_hash_that_cannot_be_read_lets_nobody_in(here: People) -> None:
    """A damaged row is a wrong password, not a 500."""
    person = here.somebody()
    keep_hash(here, person, "$2b$")
    assert here.login(person.email).status_code == 401
