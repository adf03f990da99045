"""The bench's arithmetic: a wrong ratio would pass for a good figure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench import figure, load, report
from bench.machine import RigError
from bench.rates import RIG_CLAIM, rig_is_right


def series(name: str, *rates: float, cpu: float = 100.0, p99: float = 10.0) -> load.Series:
    samples = [load.Sample(rate, p99 / 2, p99, cpu, foreign=0.0) for rate in rates]
    return load.Series(name, samples)


def test_a_ratio_is_of_medians_and_its_spread_of_single_rounds() -> None:
    """One bad round changes the spread and not the ratio."""
    ours, plain = series("ours", 90, 10, 92, cpu=110), series("plain", 100, 100, 100, cpu=99)
    verdict = figure.faster(ours, plain, claim="x", bound=0.85)
    assert verdict.ratio == pytest.approx(0.9)
    assert verdict.spread == pytest.approx((0.1, 0.92))
    assert verdict.cpu == pytest.approx(0.9)
    assert verdict.holds


@pytest.mark.parametrize(("rate", "holds"), [(85, True), (84, False)])
def test_less_than_the_bound_falls_short(rate: float, holds: bool) -> None:
    """A rate must be at least the bound, and the page says when it is not."""
    verdict = figure.faster(series("ours", rate), series("plain", 100), claim="x", bound=0.85)
    assert verdict.holds is holds
    assert ("falls short" in report.verdicts([verdict])) is not holds


def test_a_slower_tail_falls_short() -> None:
    """The 99th percentile may not be above the other's."""
    slow, fast = series("slow", 1, p99=11), series("fast", 1, p99=10)
    assert not figure.no_slower_tail(slow, fast, claim="x").holds
    assert figure.no_slower_tail(fast, slow, claim="x").holds


def test_what_takes_more_than_the_bound_falls_short() -> None:
    """A start of 3.1 times as long is too long, one of three times is not."""
    assert figure.no_more([3.0], [1.0], claim="x", bound=3).holds
    assert not figure.no_more([3.1], [1.0], claim="x", bound=3).holds


@pytest.mark.parametrize(("plain", "right"), [(15, False), (25, True), (40, False)])
def test_the_rig_knows_when_it_is_wrong(plain: float, right: bool) -> None:
    """Plain FastAPI outside of 0.2 to 0.3 of a bare function spoils the run."""
    verdict = figure.faster(series("plain", plain), series("bare", 100), claim=RIG_CLAIM)
    assert rig_is_right(figure.Figure("empty", verdicts=[verdict])) is right


def test_a_load_without_a_result_is_no_measurement() -> None:
    """When wrk says nothing, the run ends with its words."""

    def output() -> Iterator[str]:
        yield "Running 1s test"

    with pytest.raises(RigError, match="unable to connect"):
        load.result(output(), "unable to connect")


def test_a_busy_machine_is_told_of() -> None:
    """When others had the server's core, the page says that rates are not to be trusted."""
    sample = load.Sample(rate=1, p50=1, p99=1, cpu=1, foreign=0.4)
    measured = figure.Figure("x", series=[load.Series("x", [sample])])
    assert "40%" in report.disturbance([measured])
    assert not report.disturbance([figure.Figure("x", series=[series("x", 1)])])
