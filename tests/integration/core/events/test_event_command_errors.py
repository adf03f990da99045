"""``tessera events`` used wrongly: one line that says what to do, and the usual exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tower as towers
from tests.support.databases import database_url
from tests.support.plants import Garden
from tests.support.processes import Installation

__all__ = ["database_url"]


@pytest.fixture
def place(database_url: str, garden: Garden, tmp_path: Path) -> Installation:
    """An installation of the tower and its ledger on a database that was never migrated."""
    towers.plant(garden)
    made = Installation(
        tmp_path / "place",
        database_url,
        **{"modules.tower": {"enabled": True}, "modules.ledger": {"enabled": True}},
    )
    made.environ["PYTHONPATH"] = str(garden.folder)
    return made


def complaint(place: Installation, *words: str, code: int) -> str:
    """The one line on which a verb ends with that code."""
    done = place.run("events", *words)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("failed", "--group", "ledger"),
        ("retry", "ledger", "--all"),
        ("discard", "relay", "--all"),
        ("replay", "--group", "ledger"),
        ("prune",),
    ],
    ids=" ".join,
)
def test_before_the_first_migration_a_verb_says_what_to_run(
    place: Installation, words: tuple[str, ...]
) -> None:
    """On a database without tables each verb names the remedy, and shows no traceback."""
    told = complaint(place, *words, code=1)
    assert "migrations wait: core (" in told
    assert "run `tessera db upgrade` first" in told


def test_a_moment_outside_of_the_calendar_is_refused(place: Installation) -> None:
    """Days beyond the first year, in the command or the settings, and a moment that is none in
    UTC, are wrong usage."""
    assert "--days" in complaint(place, "prune", "--days", "1000000", code=2)
    for moment in ("0001-01-01T00:00:00+05:00", "9999-12-31T23:00:00-05:00"):
        told = complaint(place, "replay", "--group", "ledger", "--since", moment, code=2)
        assert "--since" in told
        assert "outside of the calendar" in told
    place.environ["TESSERA_EVENTS__KEEP_DAYS"] = "1000000"
    assert "EVENTS__KEEP_DAYS: must be less" in complaint(place, "prune", code=2)


def test_the_dead_letters_of_a_group_that_is_none_are_refused(place: Installation) -> None:
    """`failed --group` with a wrong name does not say that nothing has failed."""
    assert place.run("db", "upgrade").returncode == 0
    told = complaint(place, "failed", "--group", "nosuch", code=1)
    assert "there is no group 'nosuch'" in told
    assert place.run("events", "failed", "--group", "relay").returncode == 0
