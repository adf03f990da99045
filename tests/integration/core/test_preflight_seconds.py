"""`app.preflight_seconds`: a module whose import is heavy, and no fault, can be let in."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import preflight
from core.errors import ModuleFailure
from tests.support.apps import settings_for
from tests.support.plants import Garden, with_route
from tests.support.processes import Installation

WORKS = """
import time

until = time.process_time() + {0}
while time.process_time() < until: pass
"""
SLEEPS = """
import time

time.sleep({0})
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def inspect(*, seconds: float) -> dict[str, ModuleFailure]:
    """The preflight of `heavy`, a step of which may take so long."""
    app = {"preflight_seconds": seconds}
    settings = settings_for("sqlite+aiosqlite:///unused.db", "heavy", app=app)
    return preflight.failures_of(settings, unset=True)


@pytest.mark.parametrize("heavy", [WORKS, SLEEPS], ids=["works", "sleeps"])
def test_a_heavy_import_is_refused_with_the_setting_and_passes_once_it_is_raised(
    garden: Garden, heavy: str
) -> None:
    """The remedy names the setting; a higher one counts at once, though the verdict is fresh."""
    garden.plant("heavy", heavy.format(1.5) + with_route("heavy"))
    for _ in range(2):  # the second time it is only remembered
        failure = inspect(seconds=0.5)["heavy"]
        assert "0.5 s" in failure.reason
        assert "its import" in failure.reason
        assert failure.remedy == "mend heavy, disable it, or raise app.preflight_seconds"
    assert inspect(seconds=20) == {}


def test_what_passed_the_rehearsal_so_passes_the_watchdog(
    garden: Garden, tmp_path: Path, sqlite_url: str
) -> None:
    """An import that may take longer than the watchdog usually allows starts for real too."""
    garden.plant("heavy", SLEEPS.format(7) + with_route("heavy"))
    app = {"preflight_seconds": 10}
    modules = {"modules.heavy": {"enabled": True}}
    home = Installation(tmp_path / "home", sqlite_url, app=app, **modules)
    home.environ["PYTHONPATH"] = str(garden.folder)
    with home.serving() as server:
        assert server.call("GET", "/v1/heavy").status_code == 200
        assert "a module blocks" not in server.log
