"""The outcome as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from statistics import median
from typing import Any

from bench.figure import Figure, Options, Verdict
from bench.load import Series
from bench.machine import describe

BUSY = 0.05
"""Share of the server's core in others' hands from which rates are not to be trusted."""

HOW = """\
Each contender is a uvicorn process of its own (one worker, uvloop, httptools, no access log, the
same options for all) on one core; wrk and PostgreSQL's processes are on another. They are measured
in turn, {rounds} rounds of {seconds:g} s after a warm-up. Rates and latencies are medians of the
rounds, in brackets the least and the most; a ratio's brackets are those of single rounds. CPU time
is that of the server's process divided by the requests that it answered: it changes little when
others use the machine."""


def markdown(figures: Mapping[str, Figure], options: Options) -> str:
    """The whole page."""
    parts = [
        "# Results of `make bench`",
        f"Measured on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        table(["", ""], [[name, value] for name, value in describe().items()]),
        HOW.format(rounds=options.rounds, seconds=options.seconds),
        disturbance(figures.values()),
        "## What must hold",
        verdicts([v for figure in figures.values() for v in figure.verdicts]),
        *(section(figure) for figure in figures.values()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def foreign_share(figures: Iterable[Figure]) -> float:
    """The median share of the server's core that others had while it was measured."""
    shares = [s.foreign for f in figures for series in f.series for s in series.samples]
    return median(shares) if shares else 0.0


def disturbance(figures: Iterable[Figure]) -> str:
    """A warning when the machine was not ours alone."""
    share = foreign_share(figures)
    if share < BUSY:
        return ""
    return (
        f"**The machine was busy**: others had {share:.0%} of the server's core while it was "
        "measured. Trust the ratios by CPU time, and measure again on an idle machine."
    )


def section(figure: Figure) -> str:
    """One figure: its verdicts and what they are made of."""
    parts = [f"## {figure.title}", verdicts(figure.verdicts)]
    if figure.series:
        parts.append(samples(figure.series))
    if figure.rows:
        names = list(figure.rows[0])
        parts.append(table(names, [list(row.values()) for row in figure.rows]))
    return "\n\n".join(parts)


def verdicts(found: Sequence[Verdict]) -> str:
    """What was asked for, what came out."""
    rows = [
        [
            v.claim,
            f"{v.ratio:.2f} ({v.spread[0]:.2f}–{v.spread[1]:.2f})",
            f"{v.cpu:.2f}" if v.cpu else "",
            *judgement(v),
        ]
        for v in found
    ]
    return table(["what", "ratio", "by CPU time", "must be", ""], rows)


def judgement(verdict: Verdict) -> tuple[str, str]:
    """What it must be, and whether it is."""
    if verdict.bound is None:
        return "", ""
    return f"{verdict.sense} {verdict.bound:g}", "holds" if verdict.holds else "**falls short**"


def samples(found: Sequence[Series]) -> str:
    """Rates and latencies."""
    rows = []
    for series in found:
        low, high = series.span("rate")
        best, worst = series.span("p99")
        rows.append(
            [
                series.name,
                f"{series.median('rate'):,.0f} ({low:,.0f}–{high:,.0f})",
                f"{series.median('p50'):.2f}",
                f"{series.median('p99'):.2f} ({best:.2f}–{worst:.2f})",
                f"{series.median('cpu'):.0f}",
            ]
        )
    return table(["", "requests/s", "p50 ms", "p99 ms", "CPU µs/request"], rows)


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    marks = ["---", *("---:" for _ in names[1:])]
    lines = [names, marks, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_json(figures: Mapping[str, Figure], options: Options) -> dict[str, Any]:
    """All that was measured, for programs."""
    return {
        "measured": datetime.now(UTC).isoformat(),
        "machine": describe(),
        "options": asdict(options),
        "foreign_share": foreign_share(figures.values()),
        "figures": {
            name: {
                **asdict(figure),
                "verdicts": [{**asdict(v), "holds": v.holds} for v in figure.verdicts],
            }
            for name, figure in figures.items()
        },
    }
