"""Load by wrk from its own core, and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.machine import LOAD_CORE, SERVER_CORE, RigError, core_busy_seconds, needed, on_core
from bench.server import Server

SCRIPT = Path(__file__).with_name("load.lua")
WARM_UP_SECONDS = 1


@dataclass(frozen=True)
class Load:
    """What is asked for: each of `paths` (with each of `bodies`) in turn, on some connections."""

    paths: Sequence[str]
    connections: int = 16
    method: str = "GET"
    bodies: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def environ(self) -> dict[str, str]:
        """What load.lua reads."""
        headers = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        return {
            "BENCH_PATHS": "\n".join(self.paths),
            "BENCH_BODIES": "\n".join(self.bodies),
            "BENCH_HEADERS": headers,
            "BENCH_METHOD": self.method,
        }


@dataclass(frozen=True)
class Sample:
    """One run of the load: latencies in ms, CPU time of the server in µs a request.

    `foreign` is the share of the server's core that others had: above a few percent the rates mean
    little, and the CPU time a request is what to look at.
    """

    rate: float
    p50: float
    p99: float
    cpu: float
    foreign: float


@dataclass(frozen=True)
class Case:
    """One line of a table: a load on a server."""

    name: str
    server: Server
    load: Load


@dataclass
class Series:
    """The samples of one case."""

    name: str
    samples: list[Sample] = field(default_factory=list)

    def median(self, what: str) -> float:
        """The median of rate, p50, p99, cpu or foreign."""
        return median(float(getattr(sample, what)) for sample in self.samples)

    def span(self, what: str) -> tuple[float, float]:
        """The least and the most of it."""
        values = [getattr(sample, what) for sample in self.samples]
        return min(values), max(values)


def in_turn(cases: Sequence[Case], *, rounds: int, seconds: float) -> list[Series]:
    """Warm every case up, then measure them one after another, `rounds` times."""
    for case in cases:
        shoot(case, seconds=WARM_UP_SECONDS)
    series = [Series(case.name) for case in cases]
    for _ in range(rounds):
        for case, line in zip(cases, series, strict=True):
            line.samples.append(shoot(case, seconds=seconds))
    return series


def shoot(case: Case, *, seconds: float) -> Sample:
    """One run. Raises RigError when an answer was no 2xx or 3xx, or a connection broke."""
    load, server = case.load, case.server
    command = on_core(
        LOAD_CORE,
        *(needed("wrk", "wrk"), "-t1", f"-c{load.connections}", f"-d{max(1, round(seconds))}s"),
        *("--timeout", "10s", "-s", str(SCRIPT), f"http://127.0.0.1:{server.port}"),
    )
    busy, cpu = core_busy_seconds(SERVER_CORE), server.cpu_seconds()
    environ = {**os.environ, **load.environ()}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    cpu, busy = server.cpu_seconds() - cpu, core_busy_seconds(SERVER_CORE) - busy
    found = result(done.stdout.splitlines(), done.stderr)
    if found["refused"] or found["broken"] or not found["requests"]:
        raise RigError(f"{case.name}: the load did not go well: {found}\n{server.log()}")
    return Sample(
        rate=found["requests"] / found["seconds"],
        p50=found["p50"],
        p99=found["p99"],
        cpu=cpu / found["requests"] * 1e6,
        foreign=max(0.0, busy - cpu) / found["seconds"],
    )


def result(output: Iterable[str], errors: str) -> dict[str, float]:
    """The line that load.lua wrote. Raises RigError when there is none."""
    for line in output:
        if line.startswith("BENCH "):
            found: dict[str, float] = json.loads(line.removeprefix("BENCH "))
            return found
    raise RigError(f"wrk said nothing: {errors}")
