"""The examples of the documentation, run as they stand."""

from __future__ import annotations

from pathlib import Path

from tests.support.written import ROOT, AuthorsTree, shown_files


def test_the_example_of_dependencies_keeps_its_own_tests(tmp_path: Path) -> None:
    """Functions, classes, factories, chains, yield, once or fresh, overrides: all as shown."""
    files = shown_files(ROOT / "docs" / "examples" / "dependencies.md")
    done = AuthorsTree(tmp_path, files).pytest("-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout


def test_the_example_of_background_tasks_keeps_its_own_tests(tmp_path: Path) -> None:
    """A tail that works on what its request committed, with a session of its own: as shown."""
    files = shown_files(ROOT / "docs" / "examples" / "background-tasks.md")
    done = AuthorsTree(tmp_path, files).pytest("-q")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
