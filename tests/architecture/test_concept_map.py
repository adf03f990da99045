"""The concept map: each row is there, and what it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAP = ROOT / "docs" / "concept-map.md"
SOURCE = ROOT.parent / "shared" / "CONCEPTS.md"
ROWS = 36
ROW = re.compile(r"^\| (\d+) \| (.*) \|$", re.MULTILINE)
NAMED = re.compile(r"`([^`]+)`")
A_PATH = re.compile(r"[\w.-]+(/[\w.-]*)*\.\w+|[\w.-]+/([\w.-]+/?)*")


def rows(text: str) -> dict[int, list[str]]:
    """number -> cells of its row, without the number."""
    return {int(number): cells.split(" | ") for number, cells in ROW.findall(text)}


def faults(text: str) -> list[str]:
    """What is wrong with a concept map."""
    found = rows(text)
    numbers = [int(number) for number, _ in ROW.findall(text)]
    wrong = [f"{n}: no row" for n in range(1, ROWS + 1) if numbers.count(n) != 1]
    return wrong + [f"{n}: {it}" for n, cells in found.items() for it in _of_row(cells)]


def _of_row(cells: list[str]) -> list[str]:
    if len(cells) != 5:
        return [f"{len(cells)} cells"]
    _concept, _here, letters, where, tests = cells
    lives = {"A", "B", "E"} & set(letters.split())
    wrong = [f"no test named for {letters}"] if lives and "::" not in tests else []
    if "L" in letters.split() and "planned (L)" not in tests:
        wrong.append("does not say what is planned for L")
    wrong += [f"no {it}" for it in NAMED.findall(where) if A_PATH.fullmatch(it) and not _is(it)]
    if "planned" not in where and not any(_is(it) for it in NAMED.findall(where)):
        wrong.append("names no place")
    return wrong + [f"no test {it}" for it in NAMED.findall(tests) if not _is_test(it)]


def _is(path: str) -> bool:
    return (ROOT / path).exists()


def _is_test(name: str) -> bool:
    file, _, test = name.partition("::")
    source = ROOT / "tests" / file
    if not source.is_file():
        return False
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    return any(isinstance(it, functions) and it.name == test for it in tree)


def test_every_concept_has_a_place_and_a_test() -> None:
    """Each of the 36 rows is there once, and every file and test that it names exists."""
    assert faults(MAP.read_text(encoding="utf-8")) == []


@pytest.mark.skipif(not SOURCE.is_file(), reason="the table of concepts lies beside the project")
def test_the_concepts_are_those_that_were_asked_for() -> None:
    """Concept, place and letters are those of the table that the map extends."""
    asked, mapped = rows(SOURCE.read_text(encoding="utf-8")), rows(MAP.read_text(encoding="utf-8"))
    assert {number: cells[:3] for number, cells in mapped.items()} == asked


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("| 20 | ", "| 21 | ", "20: no row"),
        ("`core/errors.py`", "`core/error.py`", "8: no core/error.py"),
        (
            "test_hooks.py::test_a_lifespan_is_entered_and_left",
            "test_hooks.py::test_a_lifespan",
            "20: no test integration/core/test_hooks.py::test_a_lifespan",
        ),
        (
            "`acceptance/test_schemathesis.py::",
            "`acceptance/test_schema.py::",
            "35: no test acceptance/test_schema.py::test_version_2_does_what_its_schema_says",
        ),
        (
            "| L | planned (L) | planned (L) |",
            "| L | planned (L) | later |",
            "17: does not say what is planned for L",
        ),
        (
            "`integration/core/test_hooks.py::test_a_lifespan_is_entered_and_left`",
            "none",
            "20: no test named for A",
        ),
    ],
)
def test_a_planted_fault_in_the_map_is_named(old: str, new: str, fault: str) -> None:
    """A row, a file, a test or a plan that is not there is found and named."""
    text = MAP.read_text(encoding="utf-8")
    assert old in text
    assert fault in faults(text.replace(old, new, 1))
