"""The long runs, and what they measured: python -m dev.soak [arguments of pytest].

`make soak` calls it. It runs the tests that have a long tier with TESSERA_SOAK=1 and writes
soak/RESULTS.md and soak/results.json: every test with its outcome, its figures (what the test gave
to `tests.support.soak.note`), the day, the commit and the machine. A run of some tests (`-k swaps`)
renews their rows and keeps the others'. Ends with pytest's exit code.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from bench.machine import describe

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "soak"
TESTS = (
    "tests/acceptance/test_swap.py",
    "tests/acceptance/test_schemathesis.py",
    "tests/acceptance/test_events_killed.py",
    "tests/acceptance/test_events_moving.py",
    "tests/integration/core/events/test_events_hold.py",
    "tests/integration/core/events/test_event_kills.py",
)
SECONDS = 3600
"""The time limit of a test that names none of its own."""

Row = dict[str, Any]


def run(arguments: list[str], folder: Path) -> int:
    """Run the tests; what they found lies in `folder` afterwards. Gives pytest's exit code."""
    environ = {
        **os.environ,
        "TESSERA_BIN": str(Path(sys.executable).parent),
        "TESSERA_SOAK": "1",
        "TESSERA_TEST_ALONE": "all",  # one report of one run
        # What was skipped would look as if it held.
        "TESSERA_TEST_REQUIRE": os.environ.get("TESSERA_TEST_REQUIRE", "postgres,redis,kafka"),
        "TESSERA_SOAK_REPORT": str(folder / "notes.jsonl"),
        "TESSERA_TEST_EXAMPLES": os.environ.get("TESSERA_TEST_EXAMPLES", "100"),
    }
    files = [] if any(it.startswith("tests/") for it in arguments) else [*TESTS]
    command = ["dev/test", "-n", "0", "--timeout", str(SECONDS), "-o", "junit_family=xunit1"]
    command += ["--junitxml", str(folder / "junit.xml"), *files, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode


# --- what they found ---


def rows(junit: Path, notes: Path, **run: str) -> dict[str, Row]:
    """{test: row} of a run; the cases of one test are counted in one row."""
    found: dict[str, Row] = {}
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        file, name = case.get("file", ""), case.get("name", "").partition("[")[0]
        row = found.setdefault(
            f"{file}::{name}",
            {"claim": claim(ROOT / file, name), **run, "seconds": 0.0, "notes": []},
        )
        outcome = _outcome(case)
        row[outcome] = row.get(outcome, 0) + 1
        row["seconds"] = round(row["seconds"] + float(case.get("time", 0)), 1)
    for line in notes.read_text(encoding="utf-8").splitlines() if notes.exists() else ():
        note = json.loads(line)
        test = str(note.pop("test", "")).partition("[")[0]
        if test in found:
            kept = {k: v for k, v in note.items() if k not in ("at", "cpus", "python", "tier")}
            found[test]["notes"].append(kept)
    return {test: row for test, row in found.items() if set(row) & {"passed", "failed"}}


def _outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def claim(file: Path, name: str) -> str:
    """The first sentence of a test's docstring: what must hold."""
    tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            text = (ast.get_docstring(node) or name).partition("\n\n")[0]
            return " ".join(text.split())
    return name


def here() -> dict[str, str]:
    """Day, commit and machine of a run."""
    told = describe()
    machine = f"{told['cores']}, {told['memory']}, Linux {told['Linux']}, Python {told['Python']}"
    at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return {"at": at, "commit": _commit(), "machine": machine}


def _commit() -> str:
    return _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain") else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


# --- the page ---


def page(found: Mapping[str, Row]) -> str:
    """soak/RESULTS.md."""
    return "\n".join([*_head(found), *_tables(found)]) + "\n"


def _head(found: Mapping[str, Row]) -> Iterator[str]:
    yield "# Results of `make soak`"
    yield ""
    yield "Written by `dev/soak.py` with the long tier of each test; a `+` behind a commit says"
    yield "that the tree held changes. In brackets: how many cases of a test, on the databases and"
    yield "brokers that were there."
    yield ""
    for run in dict.fromkeys((r["at"], r["commit"], r["machine"]) for r in found.values()):
        yield f"- {run[0]}, commit {run[1]}: cores {run[2]}"


def _tables(found: Mapping[str, Row]) -> Iterator[str]:
    for file in dict.fromkeys(test.partition("::")[0] for test in found):
        yield from ("", f"## {file}", "")
        yield "| what must hold | outcome | measured | took | when |"
        yield "| --- | --- | --- | ---: | --- |"
        for test, row in found.items():
            if test.startswith(f"{file}::"):
                yield _line(row)


def _line(row: Row) -> str:
    outcome = "**failed**" if row.get("failed") else "holds"
    counts = [f"{row[it]} {it}" for it in ("passed", "failed", "skipped") if row.get(it)]
    measured = "<br>".join(dict.fromkeys(_measured(note) for note in row["notes"]))
    cells = (row["claim"], f"{outcome} ({', '.join(counts)})", measured, f"{row['seconds']} s")
    return "| " + " | ".join([*(cell.replace("|", r"\|") for cell in cells), row["at"]]) + " |"


def _measured(note: Mapping[str, Any]) -> str:
    figures = (f"{name.replace('_', ' ')} {value}" for name, value in note.items() if name != "row")
    return f"{note['row']}: {', '.join(figures)}"


def merged(old: Mapping[str, Row], new: Mapping[str, Row]) -> dict[str, Row]:
    """All rows, with those that a run has renewed, without those of tests that are gone."""
    every = {**old, **new}
    return {test: every[test] for test in sorted(every) if test in new or _is_there(test)}


def _is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    path = ROOT / file
    return path.is_file() and f"def {name}(" in path.read_text(encoding="utf-8")


def write(found: Mapping[str, Row], folder: Path = RESULTS) -> None:
    """Both files."""
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "RESULTS.md").write_text(page(found), encoding="utf-8")


def read(folder: Path = RESULTS) -> dict[str, Row]:
    """What earlier runs have found."""
    file = folder / "results.json"
    found: dict[str, Row] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def main(arguments: Iterable[str]) -> int:
    """Run, write, and say where."""
    run_of = here()
    with tempfile.TemporaryDirectory(prefix="tessera-soak-") as name:
        folder = Path(name)
        code = run([*arguments], folder)
        if not (folder / "junit.xml").exists():
            return code
        new = rows(folder / "junit.xml", folder / "notes.jsonl", **run_of)
    write(merged(read(), new))
    print(f"soak/RESULTS.md: {len(new)} tests renewed")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
