"""Modules are tried in batches: what hangs in one costs the others next to nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from core import preflight
from core.settings import Settings
from tests.support import apps
from tests.support.plants import Garden, minimal, with_route
from tests.support.tried import Inspect, by_a_copy, by_a_new_interpreter

HANGS = "@hookimpl\ndef services():\n    import time; time.sleep(1e9)\n"
SLOW = "import time; time.sleep({seconds})\n"
NAMES = [f"m{number:02}" for number in range(16)]
"""Two in each batch."""
LIMIT = 8.0
"""Longer than what forks take on a machine that is busy."""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=[by_a_new_interpreter, by_a_copy])
def either(request: pytest.FixtureRequest) -> Inspect:
    """The preflight by either way to make the child."""
    way: Inspect = request.param
    return way


def settings_for(sqlite_url: str, limit: float) -> Settings:
    """Settings that enable all, under which a step may take so long."""
    return apps.settings_for(sqlite_url, *NAMES, app={"preflight_seconds": limit})


def plant(garden: Garden, *hanging: str) -> None:
    """All modules, of which these hang."""
    for name in NAMES:
        garden.plant(name, minimal(name, HANGS) if name in hanging else with_route(name))


def test_however_many_hang_it_takes_little_more_than_the_time_of_one(
    garden: Garden, sqlite_url: str
) -> None:
    """Both in every batch, instead of one in one, add less than another limit."""
    took = []
    for hanging in (NAMES[:1], NAMES):
        plant(garden, *hanging)
        Path("var/preflight.json").unlink(missing_ok=True)
        began = time.monotonic()
        failures = by_a_new_interpreter(settings_for(sqlite_url, LIMIT))
        took.append(time.monotonic() - began)
        assert sorted(failures) == [*hanging]
        assert all("did not return within 8 s" in it.reason for it in failures.values())
    assert took[1] - took[0] < LIMIT - 1


def test_one_that_is_slow_is_no_fault_of_anybody(
    garden: Garden, sqlite_url: str, either: Inspect
) -> None:
    """A module that sleeps for most of its time, so that the others of its batch are tried beside
    it, passes, and so do they: none is tried again."""
    limit = 3.0
    plant(garden)
    garden.plant("m00", SLOW.format(seconds=limit * 0.7) + with_route("m00"))
    settings = settings_for(sqlite_url, limit)
    assert either(settings) == {}
    kept = json.loads(Path("var/preflight.json").read_text())
    assert sorted(name for name, it in kept.items() if it.get("passed")) == NAMES
    assert preflight.failures_of(settings, unset=True) == {}
