"""Modules that no ``except`` can stop: they end the child, not the host."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from core import preflight
from core.discovery import find
from tests.support.apps import serving
from tests.support.plants import Garden, minimal, with_route


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


DEADLY = {
    "os._exit at import": (
        "import os; os._exit(7)",
        "its import ended the whole process (exit code 7)",
    ),
    "a crash in C": (
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "its import ended the whole process (signal 11)",
    ),
    "os._exit in a hook": (
        minimal("bad", "@hookimpl\ndef routers(version):\n    import os; os._exit(0)"),
        "its hook routers() ended the whole process (exit code 0)",
    ),
    "a hook that never returns": (
        minimal("bad", "@hookimpl\ndef tables():\n    while True: pass"),
        "its hook tables() did not return within 3 s",
    ),
}


@pytest.mark.parametrize("fault", DEADLY)
def test_the_host_outlives_a_deadly_module(
    fault: str, garden: Garden, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that exits, crashes or hangs is out by name; the host serves the rest."""
    monkeypatch.setattr(preflight, "STEP_SECONDS", 3.0)
    source, reason = DEADLY[fault]
    garden.plant("good", with_route("good"))
    garden.plant("bad", source)
    garden.plant("late", with_route("late"))
    with serving(sqlite_url, "good", "bad", "late", app={"preflight": True}) as client:
        assert client.get("/v1/good").status_code == 200
        assert client.get("/v1/late").status_code == 200
        assert client.get("/readyz").json()["modules"]["bad"]["reason"] == reason


def test_a_module_that_passed_is_asked_again_only_when_it_changed(
    garden: Garden, tmp_path: Path
) -> None:
    """The result is kept while the files are the same; a changed file brings the child back."""
    package = garden.plant("good", with_route("good"))
    kept = tmp_path / "kept.json"

    def seconds() -> float:
        began = time.monotonic()
        assert preflight.inspect([find()["good"]], versions=["v1"], kept=kept) == {}
        return time.monotonic() - began

    seconds()
    assert seconds() < 0.1
    garden.file(package, "module.py", "import os; os._exit(9)")
    failures = preflight.inspect([find()["good"]], versions=["v1"], kept=kept)
    assert "exit code 9" in failures["good"].reason


def test_what_a_module_prints_is_no_step(garden: Garden, tmp_path: Path) -> None:
    """A module that writes to standard output cannot pass itself off as having passed."""
    garden.plant("bad", "print('bad\\tpassed', flush=True)\nimport os; os._exit(3)")
    failures = preflight.inspect([find()["bad"]], versions=["v1"], kept=tmp_path / "kept.json")
    assert "exit code 3" in failures["bad"].reason
