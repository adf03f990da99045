"""Modules that blocked or ended a process are remembered, as long as they are what they were."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import marks
from core.steps import MIGRATION, Step
from tests.support.processes import ROOT

DIES = """
import os
from core import marks
from core.steps import step

with marks.writing({{"bad": "print", "other": "else"}}):
    with step("other", "its import"):
        pass
    with step("bad", "{doing}"):
        os._exit(9)
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def die(doing: str) -> None:
    """A process that ends in a step of module `bad`."""
    done = subprocess.run(
        [sys.executable, "-c", DIES.format(doing=doing)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 9


def test_the_step_that_ended_a_process_is_found() -> None:
    """The second time the next process names module and step; it clears away what was left."""
    die("its lifespan")
    assert marks.recall({"bad": "print", "other": "else"}) == {}, "it may have been killed"
    die("its lifespan")
    assert list(Path("var").glob("under-way-*"))
    found = marks.recall({"bad": "print", "other": "else"})
    assert list(found) == ["bad"]
    assert found["bad"].reason.startswith("its lifespan ended the whole process at the start of")
    assert found["bad"].reason.endswith(", the second time")
    assert not list(Path("var").glob("under-way-*"))
    assert list(marks.recall({"bad": "print"})) == ["bad"], "it stays"
    assert marks.recall({"bad": "another print"}) == {}, "until its files change"


def test_a_process_that_was_killed_once_blames_nobody() -> None:
    """A death is forgotten when a start went well in between, or the module has changed."""
    die("its lifespan")
    marks.recall({"bad": "print"})
    marks.forgive(["bad"])  # a start that was well
    die("its lifespan")
    assert marks.recall({"bad": "print"}) == {}


def test_what_ends_several_at_once_counts_once() -> None:
    """Workers of one server that were killed together are one death; the next one is the second."""
    die("its lifespan")
    [left] = Path("var").glob("under-way-*")
    gone = left.read_text()
    for pid in (99999998, 99999999):
        Path(f"var/under-way-{pid}").write_text(gone)
    assert marks.recall({"bad": "print"}) == {}
    die("its lifespan")
    assert list(marks.recall({"bad": "print"})) == ["bad"]


def test_a_migration_may_be_interrupted() -> None:
    """Whoever ends a process in a migration, which may take hours, blames nobody."""
    die(MIGRATION)
    assert marks.recall({"bad": "print"}) == {}


def test_who_still_works_is_left_alone() -> None:
    """The note of a process that lives is not taken for one of a process that ended."""
    Path("var").mkdir()
    alive = Path(f"var/under-way-{os.getppid()}")
    alive.write_text('{"at": "now", "marks": {"bad": "print"}}\nbad\tits import')
    assert marks.recall({"bad": "print"}) == {}
    assert alive.exists()


def test_what_blocked_is_noted_with_its_step() -> None:
    """The watchdog's note holds module, step and time."""
    assert marks.note(Step("bad", "its lifespan"), "blocked the process", {"bad": "print"})
    [failure] = marks.recall({"bad": "print"}).values()
    assert failure.reason.startswith("its lifespan blocked the process at the start of 20")
    assert "var/blocked.json" in failure.remedy


def test_a_start_that_is_well_leaves_nothing() -> None:
    """When the start is over, nothing is left to be found."""
    with marks.writing({"bad": "print"}):
        assert list(Path("var").glob("under-way-*"))
    assert not list(Path("var").glob("under-way-*"))
