"""Every finding of `check`: a planted fault is told with its place, its look-alike is not."""

from __future__ import annotations

import pytest

from core.checks.codes import CODES
from tests.support.checks.cases import CASES
from tests.support.checks.plots import Case
from tests.support.plants import Garden

cases = pytest.mark.parametrize("case", CASES, ids=str)


@cases
def test_a_planted_fault_is_found(garden: Garden, case: Case) -> None:
    """The fault is told once, under its code, with its place, a reason and a remedy."""
    found = case.bad.findings(garden)
    assert [finding.code for finding in found] == [case.code], found
    [finding] = found
    places = case.bad.marked() or [case.at]
    assert any(place in finding.place for place in places), finding
    assert finding.reason
    assert finding.remedy
    assert finding.severity == CODES[case.code].severity


@cases
def test_a_look_alike_is_not(garden: Garden, case: Case) -> None:
    """What only looks like the fault gives no finding at all."""
    assert case.good.findings(garden) == []


def test_every_code_has_both() -> None:
    """A code without a planted case is a check that nobody has seen fail."""
    assert {case.code for case in CASES} == set(CODES)


def test_every_case_names_its_place() -> None:
    """A finding that points nowhere helps nobody."""
    assert all(case.bad.marked() or case.at for case in CASES)
