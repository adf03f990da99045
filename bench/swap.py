"""Figures of swaps: how long the loop stands still, and what others notice.

A planted probe sleeps 5 ms again and again in the server's own loop and keeps the longest delay.
Generations are swapped one after another by SIGHUP while wrk asks another module.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench import contenders
from bench.figure import Figure, Options, Verdict, running, scratch
from bench.load import Case, Load, Series, shoot
from bench.machine import RigError
from bench.plants import plant_many, plant_source
from bench.server import Contender, Server

MODULES, ROUTES = 20, 10
STALL_MS = 100.0
SWAP_SECONDS = 30.0
POLL_SECONDS = 0.02

PROBE = """
import asyncio
import time
from contextlib import asynccontextmanager

from fastapi import APIRouter
from core.plugin import Manifest, hookimpl, public

seen = {"swaps": 0, "lag": 0.0}  # of the process: generations come and go


@hookimpl
def manifest():
    return Manifest("probe", "1.0")


async def watch():
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.005)
        seen["lag"] = max(seen["lag"], time.perf_counter() - began - 0.005)


@hookimpl
@asynccontextmanager
async def lifespan(context):
    seen["swaps"] += 1
    watching = asyncio.create_task(watch())
    yield
    watching.cancel()


def make():
    router = APIRouter(prefix="/probe", dependencies=[public])

    @router.get("/swaps")
    async def swaps() -> int:
        return seen["swaps"]

    @router.get("/lag")
    async def lag() -> float:
        most, seen["lag"] = seen["lag"], 0.0
        return most

    return router


@hookimpl
def routers(version):
    return [make()]
"""


def swaps(options: Options) -> Figure:
    """Swaps of 20 modules of ten routes under load."""
    figure = Figure(f"Swaps of {MODULES} modules of {ROUTES} routes")
    calm, during = Series("no swap"), Series("swap after swap")
    rows: list[dict[str, str]] = []
    stalls: list[float] = []
    with scratch() as folder, running(_contender(folder)) as (server,):
        load = Load([f"/v1/m{MODULES - 1:03}/7/r9"])
        shoot(Case("warm", server, load), seconds=1)
        for _ in range(3):  # the first generation was built before the process settled
            swap_once(server)
        for _ in range(options.rounds):
            longest_stall(server)
            calm.samples.append(shoot(Case(calm.name, server, load), seconds=options.seconds))
            rested = longest_stall(server)
            with swapping(server) as times:
                sample = shoot(Case(during.name, server, load), seconds=options.seconds)
            during.samples.append(sample)
            stalls.append(longest_stall(server) * 1000)
            rows.append(_row(times, rested, stalls[-1]))
    figure.series, figure.rows = [calm, during], rows
    figure.verdicts = [_stall(stalls), _tail(calm, during)]
    return figure


def _contender(folder: Path) -> Contender:
    names = plant_many(folder / "plants", MODULES, routes=ROUTES)
    plant_source(folder / "plants", "probe", PROBE)
    contender = contenders.tessera(folder, [*names, "probe"])
    return replace(contender, proofs=["/v1/probe/swaps", f"/v1/{names[-1]}/7/r9"])


def _row(times: list[float], rested: float, stall: float) -> dict[str, str]:
    return {
        "swaps": str(len(times)),
        "seconds a swap": f"{median(times):.2f}",
        "longest stall without swaps, ms": f"{rested * 1000:.0f}",
        "longest stall with swaps, ms": f"{stall:.0f}",
    }


def _stall(stalls: list[float]) -> Verdict:
    claim = f"longest stall of the loop at swaps / {STALL_MS:.0f} ms"
    shares = [stall / STALL_MS for stall in stalls]
    return Verdict(claim, median(shares), (min(shares), max(shares)), None, 1.0, "at most")


def _tail(calm: Series, during: Series) -> Verdict:
    """The p99 of others during swaps over what it may be: 1.5 times that without, and 10 ms."""
    pairs = zip(during.samples, calm.samples, strict=True)
    shares = [swapped.p99 / (1.5 * usual.p99 + 10) for swapped, usual in pairs]
    share = during.median("p99") / (1.5 * calm.median("p99") + 10)
    claim = "p99 of others during swaps / (1.5 × p99 without + 10 ms)"
    return Verdict(claim, share, (min(shares), max(shares)), None, 1.0, "at most")


def longest_stall(server: Server) -> float:
    """The longest delay of the loop since this was last asked, in seconds."""
    return float(server.get("/v1/probe/lag")[1])


def swap_once(server: Server) -> float:
    """One swap; gives the seconds until the next generation has begun. Raises RigError."""
    before = _swaps(server)
    began = time.perf_counter()
    os.kill(server.pid, signal.SIGHUP)
    while _swaps(server) == before:
        if time.perf_counter() - began > SWAP_SECONDS:
            raise RigError(f"no swap within {SWAP_SECONDS:.0f} s:\n{server.log()}")
        time.sleep(POLL_SECONDS)
    return time.perf_counter() - began


def _swaps(server: Server) -> int:
    return int(server.get("/v1/probe/swaps")[1])


@contextmanager
def swapping(server: Server) -> Iterator[list[float]]:
    """Swap after swap in a thread, as long as the block lasts; gives how long each took."""
    times: list[float] = []
    broken: list[Exception] = []
    ending = threading.Event()

    def work() -> None:
        try:
            while not ending.is_set():
                times.append(swap_once(server))
        except (RigError, OSError) as error:
            broken.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield times
    finally:
        ending.set()
        thread.join()
    if broken:
        raise RigError(str(broken[0]))
