"""Password hashes: argon2id, old bcrypt ones upgraded, off the loop, within bounds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import bcrypt
import pytest

from core.plugin import Unavailable
from modules.auth.passwords import Passwords
from modules.auth.settings import AuthSettings

CHEAP = {"argon2_memory_kib": 8192, "argon2_iterations": 1}
HORSE = "correct horse battery staple"


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    """Passwords with a cheap hash."""
    made = Passwords(AuthSettings.model_validate(CHEAP))
    yield made
    made.close()


def old_hash(password: bytes, prefix: bytes = b"2b") -> str:
    """What a system with bcrypt has kept."""
    return bcrypt.hashpw(password, bcrypt.gensalt(4, prefix=prefix)).decode()


async def test_a_hash_is_argon2id_with_the_settings_of_owasp() -> None:
    """By default: argon2id, 19 MiB, two passes, one lane."""
    passwords = Passwords(AuthSettings())
    assert (await passwords.hash(HORSE)).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    passwords.close()


async def test_only_the_right_password_is_right(passwords: Passwords) -> None:
    """The same password is right, another is not, and two hashes of one password differ."""
    stored = await passwords.hash(HORSE)
    assert (await passwords.check(HORSE, stored)).right
    assert not (await passwords.check(HORSE + " ", stored)).right
    assert await passwords.hash(HORSE) != stored


async def test_every_character_of_a_long_password_counts(passwords: Passwords) -> None:
    """argon2id has no limit of 72 bytes."""
    stored = await passwords.hash("ä" * 127 + "x")
    assert not (await passwords.check("ä" * 127 + "y", stored)).right


@pytest.mark.parametrize("prefix", [b"2a", b"2b"])
async def test_an_old_bcrypt_hash_is_checked_and_upgraded(
    passwords: Passwords, prefix: bytes
) -> None:
    """The right password gives an argon2id hash in its place; a wrong one gives nothing."""
    stored = old_hash(HORSE.encode(), prefix)
    verdict = await passwords.check(HORSE, stored)
    assert verdict.right
    assert verdict.upgraded is not None
    assert verdict.upgraded.startswith("$argon2id$")
    assert (await passwords.check(HORSE, verdict.upgraded)).right
    wrong = await passwords.check("something else", stored)
    assert not wrong.right
    assert wrong.upgraded is None


async def test_a_bcrypt_hash_of_more_than_72_bytes_still_works(passwords: Passwords) -> None:
    """Old bcrypt cut in silence; so such a user can sign in still, and then every byte counts."""
    long = "€" * 40  # 120 bytes
    verdict = await passwords.check(long, old_hash(long.encode()[:72]))
    assert verdict.right
    assert verdict.upgraded is not None
    assert not (await passwords.check(long[:-1], verdict.upgraded)).right


async def test_a_hash_of_weaker_settings_is_upgraded(passwords: Passwords) -> None:
    """When the settings get stronger, hashes follow as their users sign in."""
    stronger = Passwords(AuthSettings.model_validate(CHEAP | {"argon2_iterations": 2}))
    verdict = await stronger.check(HORSE, await passwords.hash(HORSE))
    stronger.close()
    assert verdict.right
    assert verdict.upgraded is not None
    assert "t=2" in verdict.upgraded


@pytest.mark.parametrize(
    "stored", ["", "!", "plain text", "$1$abc$def", "$argon2id$broken", "$2b$"]
)
async def test_a_stored_hash_that_cannot_be_read_lets_nobody_in(
    passwords: Passwords, stored: str
) -> None:
    """A damaged or foreign hash is a wrong password, not an error."""
    assert not (await passwords.check(HORSE, stored)).right


async def test_a_nul_is_wrong_for_an_old_hash_too(passwords: Passwords) -> None:
    """bcrypt ends at a NUL; it must not be a way to cut a password short."""
    assert not (await passwords.check(HORSE + "\x00tail", old_hash(HORSE.encode()))).right


async def test_an_unknown_account_costs_as_much_work_as_a_known_one() -> None:
    """The work, and so the time, does not tell whether there is such an account."""
    passwords = Passwords(AuthSettings())
    stored = await passwords.hash(HORSE)
    await passwords.check("x", stored)

    async def work(kept: str | None) -> float:
        before = time.process_time()
        await passwords.check("a wrong one", kept)
        return time.process_time() - before

    pairs = [(await work(stored), await work(None)) for _ in range(9)]
    passwords.close()
    known, unknown = (min(side) for side in zip(*pairs, strict=True))
    assert 0.4 < unknown / known < 2.5


async def test_the_loop_goes_on_while_passwords_are_hashed(passwords: Passwords) -> None:
    """Hashing happens in threads of its own, as many as the settings say and no more."""
    before = threading.active_count()
    hashing = asyncio.gather(*(passwords.hash(HORSE) for _ in range(30)))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    await hashing
    assert turns > 30
    assert threading.active_count() - before <= 2


async def test_a_flood_is_answered_at_once() -> None:
    """More than may wait are told to come later, and the others are served."""
    passwords = Passwords(AuthSettings.model_validate(CHEAP | {"hash_waiting": 3}))
    results = await asyncio.gather(
        *(passwords.hash(HORSE) for _ in range(12)), return_exceptions=True
    )
    passwords.close()
    refused = [r for r in results if isinstance(r, Unavailable)]
    assert len(refused) == 12 - 5  # two threads, three waiting
    assert all(r.headers["Retry-After"] == "2" for r in refused)
