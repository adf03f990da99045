"""Where the CPU time of a request goes: contenders in this process, without sockets.

    bench/inside.py empty|modules|product|order [--rounds 7] [--profile]

Measures CPU time and not the clock, so it can be trusted a little while others use the machine.
It leaves out the server, the network and waiting: the figures are those of bench/run.py.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import contenders  # noqa: E402
from bench.database import postgresql, seed_products  # noqa: E402
from bench.figure import running, scratch  # noqa: E402
from bench.rates import PLACES, WITHOUT_CACHE, headers, sign_in  # noqa: E402
from bench.server import Contender  # noqa: E402

BATCH = 400


@dataclass
class Way:
    """One way to do the same thing: an ASGI application and what it is asked."""

    name: str
    app: Any
    method: str
    paths: Sequence[str]
    bodies: Sequence[bytes] = (b"",)
    headers: Sequence[tuple[bytes, bytes]] = ()


def scope_of(way: Way, number: int) -> dict[str, Any]:
    """The scope that uvicorn would make."""
    path = way.paths[number % len(way.paths)]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": way.method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), *way.headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "scheme": "http",
        "state": {},
    }


async def ask(way: Way, number: int) -> None:
    """One request. Raises RuntimeError when the answer is no 2xx."""
    body = way.bodies[number % len(way.bodies)]
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    await way.app(scope_of(way, number), receive, send)
    if status // 100 != 2:
        raise RuntimeError(f"{way.name}: {way.paths[0]} answered {status}")


async def batch(way: Way) -> float:
    """CPU time of a request in µs."""
    began = time.process_time()
    for number in range(BATCH):
        await ask(way, number)
    return (time.process_time() - began) / BATCH * 1e6


@asynccontextmanager
async def started(app: Any) -> AsyncIterator[None]:
    """The application's lifespan around the block."""
    begun, end = asyncio.Event(), asyncio.Event()
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        if begun.is_set():
            await end.wait()
        return {"type": next(messages)}

    async def send(message: dict[str, Any]) -> None:
        begun.set()

    task = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, receive, send))
    await begun.wait()
    try:
        yield
    finally:
        end.set()
        await task


async def compare(ways: Sequence[Way], *, rounds: int, profile: bool) -> None:
    """Print what a request costs each way; the last is profiled, and the measure of the others."""
    async with AsyncExitStack() as stack:
        for app in {id(way.app): way.app for way in ways}.values():
            await stack.enter_async_context(started(app))
        for way in ways:
            await batch(way)
        taken = [[await batch(way) for way in ways] for _ in range(rounds)]
        for number, way in enumerate(ways):
            cost = median(line[number] for line in taken)
            ratio = median(line[number] / line[-1] for line in taken)
            print(f"{way.name:32} {cost:8.1f} µs of CPU time   {ratio:.2f} of the last's")
        if profile:
            profiler = cProfile.Profile()
            profiler.enable()
            for _ in range(5):
                await batch(ways[-1])
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(45)


def app_of(contender: Contender) -> Any:
    """A contender's application in this process."""
    import importlib

    os.environ.update(contender.environ)
    os.chdir(contender.folder)
    sys.path[:0] = [str(path) for path in contender.paths]
    module, _, name = contender.app.partition(":")
    return getattr(importlib.import_module(module), name)


def empty(stack: ExitStack) -> list[Way]:
    """An empty endpoint."""
    folder = stack.enter_context(scratch())
    wanted = [contenders.bare(), contenders.plain(), contenders.tessera_with_hello(folder)]
    return [Way(c.name, app_of(c), "GET", ["/v1/hello"]) for c in wanted]


def modules(stack: ExitStack) -> list[Way]:
    """Routes among a thousand."""
    folder = stack.enter_context(scratch())
    app = app_of(contenders.tessera_with_many(folder, 100, routes=10))
    return [Way(name, app, "GET", [path]) for name, path in PLACES.items()]


def product(stack: ExitStack) -> list[Way]:
    """A product by its id."""
    folder = stack.enter_context(scratch())
    url = stack.enter_context(postgresql())
    contender = contenders.tessera(folder, WITHOUT_CACHE, url=url)
    with running(contender):
        ids = range(1, seed_products(url) + 1)
    hand, ours = app_of(contenders.by_hand("products:app", url=url)), app_of(contender)
    ways = [("entity", hand), ("columns", hand), ("tuned", hand), ("v1", ours)]
    return [Way(f"/{p}", app, "GET", [f"/{p}/products/{i}" for i in ids]) for p, app in ways]


def order(stack: ExitStack) -> list[Way]:
    """An order of one line."""
    folder = stack.enter_context(scratch())
    url = stack.enter_context(postgresql())
    contender, by_hand = (
        contenders.tessera(folder, WITHOUT_CACHE, url=url),
        contenders.by_hand("orders:app", url=url),
    )
    with running(contender) as (server,):
        user, token = sign_in(server)
        ids = range(1, seed_products(url) + 1)
    hand, ours = app_of(by_hand), app_of(contender)
    own = sys.modules["bench.apps.orders"].__dict__["issue"](user)
    bodies = [json.dumps({"lines": [{"product_id": i, "quantity": 1}]}).encode() for i in ids]
    return [
        Way(f"/{prefix}", app, "POST", [f"/{prefix}/orders"], bodies, _raw(headers(bearer)))
        for prefix, app, bearer in (
            ("entities", hand, own),
            ("statements", hand, own),
            ("v1", ours, token),
        )
    ]


def _raw(given: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in given.items()] + [
        (b"content-length", b"49")
    ]


WAYS = {"empty": empty, "modules": modules, "product": product, "order": order}


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser("bench/inside.py", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=[*WAYS])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--profile", action="store_true", help="list the dearest functions of the last"
    )
    asked = parser.parse_args()
    with ExitStack() as stack:
        ways = WAYS[asked.what](stack)
        asyncio.run(compare(ways, rounds=asked.rounds, profile=asked.profile))


if __name__ == "__main__":
    main()
