"""Guessing passwords: a few tries an account, some more an address, counted in the database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlmodel import func, select

from core.context import Context
from modules.auth.models import Attempt
from tests.support.people import People, at_once, people


@pytest.fixture
def strict(database_url: str) -> Iterator[People]:
    """A deployment with the usual limits: 5 an account, 50 an address."""
    with people(database_url, failures_per_address=50) as some:
        yield some


@pytest.fixture
def brief(database_url: str) -> Iterator[People]:
    """A deployment that forgets after one second, with 3 an account and 6 an address."""
    limits = {"failures_per_account": 3, "failures_per_address": 6, "failure_window_seconds": 1}
    with people(database_url, **limits) as some:
        yield some


def statuses(answers: list[Any]) -> list[int]:
    """Sorted."""
    return sorted(answer.status_code for answer in answers)


def test_the_sixth_wrong_password_in_a_row_has_to_wait(strict: People) -> None:
    """429 with Retry-After, and then the right one waits too, and is told nothing."""
    person = strict.somebody()
    answers = [strict.login(person.email, f"wrong {i}") for i in range(6)]
    assert [a.status_code for a in answers] == [401] * 5 + [429]
    assert 1 <= int(answers[5].headers["retry-after"]) <= 15 * 60
    assert answers[5].json()["type"] == "/problems/too-many-sign-ins"
    right = strict.login(person.email.upper())
    assert right.status_code == 429
    assert strict.login(strict.somebody().email).status_code == 200


def test_twenty_guesses_at_once_get_no_more_than_five_tries(strict: People) -> None:
    """Parallel guessing gains nothing: 5 × 401, 15 × 429."""
    person = strict.somebody()
    answers = at_once(20, lambda i: strict.login(person.email, f"wrong {i}"))
    assert statuses(answers) == [401] * 5 + [429] * 15


def test_the_right_password_among_twenty_guesses_at_once_is_not_found_by_luck(
    strict: People,
) -> None:
    """An account that nobody has is throttled just so, and tells nothing."""
    nobody = strict.new_email()
    answers = at_once(20, lambda i: strict.login(nobody, f"wrong {i}"))
    assert statuses(answers) == [401] * 5 + [429] * 15


def test_a_crowd_that_signs_in_at_once_is_let_in(strict: People) -> None:
    """Ten sign-ins of one user, and of many from one address, all with the right password."""
    person = strict.somebody()
    assert statuses(at_once(10, lambda _: strict.login(person.email))) == [200] * 10
    crowd = [strict.somebody() for _ in range(12)]
    answers = at_once(24, lambda i: strict.login(crowd[i % 12].email))
    assert statuses(answers) == [200] * 24


def test_a_success_clears_the_failures_of_the_account(strict: People) -> None:
    """Four wrong, one right, four wrong, one right: never a 429."""
    person = strict.somebody()
    for _ in range(3):
        for _ in range(4):
            assert strict.login(person.email, "wrong again").status_code == 401
        assert strict.login(person.email).status_code == 200


def test_one_address_cannot_try_many_accounts(strict: People) -> None:
    """Fifty wrong passwords for fifty accounts, then none for anybody from there."""
    for _ in range(2):
        at_once(25, lambda _: strict.login(strict.new_email(), "Winter2026!"))
    answer = strict.login(strict.new_email(), "Winter2026!")
    assert answer.status_code == 429


def test_a_success_does_not_clear_the_failures_of_the_address(database_url: str) -> None:
    """Else whoever has one account could guess at all the others for ever."""
    with people(database_url, failures_per_address=6) as here:
        own = here.somebody()
        for _ in range(6):
            assert here.login(own.email).status_code == 200
            assert here.login(here.new_email(), "wrong").status_code == 401
        assert here.login(here.new_email(), "wrong").status_code == 429
        assert here.login(own.email).status_code == 429


def test_waiting_ends_with_the_window_and_is_not_lengthened(brief: People) -> None:
    """Who is refused is not counted: after the window the right password works."""
    person = brief.somebody()
    for _ in range(3):
        brief.login(person.email, "wrong")
    start = time.monotonic()
    while brief.login(person.email).status_code == 429:
        assert time.monotonic() - start < 10
        time.sleep(0.05)


def test_what_is_counted_does_not_grow_without_bounds(brief: People) -> None:
    """Rows of windows that are over are removed by the sign-ins that come after."""
    for _ in range(5):
        brief.login(brief.new_email(), "wrong")
    time.sleep(1.1)
    brief.login(brief.new_email(), "wrong")

    async def rows(context: Context) -> int:
        async with context.read() as session:
            return (await session.exec(select(func.count()).select_from(Attempt))).one()

    assert brief.inside("auth", rows) <= 2
