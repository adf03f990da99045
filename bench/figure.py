"""What a measurement comes to: ratios, what they must be, and what they are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Literal

from bench.load import Series
from bench.server import Contender, Server

Sense = Literal["at least", "at most"]


@dataclass(frozen=True)
class Options:
    """How long a run of the load is, and how often each contender has its turn."""

    seconds: float
    rounds: int


@dataclass(frozen=True)
class Verdict:
    """One ratio and what it must be; without a bound it only informs.

    `spread` is the least and the most of single rounds, `cpu` the same ratio by CPU time.
    """

    claim: str
    ratio: float
    spread: tuple[float, float]
    cpu: float | None = None
    bound: float | None = None
    sense: Sense = "at least"

    @property
    def holds(self) -> bool:
        """Whether the ratio is what it must be."""
        if self.bound is None:
            return True
        return self.ratio >= self.bound if self.sense == "at least" else self.ratio <= self.bound


@dataclass
class Figure:
    """The outcome of one measurement: verdicts, and the tables behind them."""

    title: str
    verdicts: list[Verdict] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)


def faster(over: Series, under: Series, *, claim: str, bound: float | None = None) -> Verdict:
    """Requests/s of one over those of the other: at least `bound`."""
    ratio, spread = _ratio(
        [sample.rate for sample in over.samples], [sample.rate for sample in under.samples]
    )
    cpu = under.median("cpu") / over.median("cpu")
    return Verdict(claim, ratio, spread, cpu, bound)


def no_slower_tail(over: Series, under: Series, *, claim: str) -> Verdict:
    """The 99th percentile of one over that of the other: at most 1."""
    ratio, spread = _ratio(
        [sample.p99 for sample in over.samples], [sample.p99 for sample in under.samples]
    )
    return Verdict(claim, ratio, spread, bound=1.0, sense="at most")


def no_more(
    over: Sequence[float],
    under: Sequence[float],
    *,
    claim: str,
    bound: float,
    cpu: float | None = None,
) -> Verdict:
    """What one takes over what the other takes: at most `bound`."""
    ratio, spread = _ratio(over, under)
    return Verdict(claim, ratio, spread, cpu, bound, "at most")


def _ratio(over: Sequence[float], under: Sequence[float]) -> tuple[float, tuple[float, float]]:
    rounds = [a / b for a, b in zip(over, under, strict=True)]
    return median(over) / median(under), (min(rounds), max(rounds))


@contextmanager
def running(*wanted: Contender) -> Iterator[list[Server]]:
    """All of them started, one after another, and ended with the block."""
    with ExitStack() as stack:
        yield [stack.enter_context(Server(contender)) for contender in wanted]


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for settings, SQLite files and planted distributions."""
    with TemporaryDirectory(prefix="tessera-bench-") as name:
        yield Path(name)
