"""What `make soak` writes down."""

from __future__ import annotations

import json
from pathlib import Path

from dev.soak import ROOT, TESTS, merged, page, read, rows, write

RUN = {"at": "2026-01-02 03:04 UTC", "commit": "abc1234", "machine": "2 (Fast), 8 GiB"}
BARE = {"notes": [], "seconds": 1.0, "passed": 1}
HERE = "tests/unit/dev/test_soak_results.py"
LONG = "test_every_long_test_is_run"
JUNIT = f"""<testsuites><testsuite>
<testcase file="{HERE}" name="{LONG}[a]" time="1.26"/>
<testcase file="{HERE}" name="{LONG}[b]" time="2"><failure>no</failure></testcase>
<testcase file="{HERE}" name="test_a_part_renews_its_rows" time="1"/>
<testcase file="{HERE}" name="test_skipped" time="0"><skipped/></testcase>
</testsuite></testsuites>"""
NOTE = {
    "row": "swaps",
    "test": f"{HERE}::{LONG}[a]",
    "tier": "soak",
    "lost": 0,
}


def test_every_long_test_is_run() -> None:
    """Each test file with a long tier is among those that the soak runs."""
    long = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "tests").rglob("test_*.py")
        if "soak.tier(" in file.read_text(encoding="utf-8") and file.as_posix() != __file__
    }
    assert long <= set(TESTS)
    assert all((ROOT / file).is_file() for file in TESTS)


def found(folder: Path) -> dict[str, dict[str, object]]:
    """The rows of one run."""
    (folder / "junit.xml").write_text(JUNIT)
    (folder / "notes.jsonl").write_text(json.dumps(NOTE) + "\n")
    return rows(folder / "junit.xml", folder / "notes.jsonl", **RUN)


def test_a_row_says_what_held_and_what_was_measured(tmp_path: Path) -> None:
    """The claim is the test's docstring; its cases, figures, time, day and machine stand beside."""
    text = page(found(tmp_path))
    assert "- 2026-01-02 03:04 UTC, commit abc1234: cores 2 (Fast), 8 GiB" in text
    assert (
        "| Each test file with a long tier is among those that the soak runs. "
        "| **failed** (1 passed, 1 failed) | swaps: lost 0 | 3.3 s | 2026-01-02 03:04 UTC |"
    ) in text
    assert "test_skipped" not in text


def test_a_part_renews_its_rows(tmp_path: Path) -> None:
    """A run of some tests keeps the others' rows, but for tests that are gone."""
    first = found(tmp_path)
    later = {f"{HERE}::test_a_part_renews_its_rows": {**RUN, **BARE, "claim": "new"}}
    gone = {f"{HERE}::test_gone": {**RUN, **BARE, "claim": "old"}}
    write(merged({**first, **gone}, later), tmp_path / "soak")
    kept = read(tmp_path / "soak")
    assert set(kept) == set(first)
    assert kept[f"{HERE}::test_a_part_renews_its_rows"]["claim"] == "new"
