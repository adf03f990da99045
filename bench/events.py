"""Figures of events: what recording costs an order, and how soon an effect follows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles

from bench import contenders, steady
from bench.broker import kafka
from bench.database import keep_off_the_servers_core, postgresql, run, seed_products, statement
from bench.figure import Figure, Options, Verdict, faster, scratch
from bench.load import WARM_UP_SECONDS, Case, Load, Sample, Series, shoot
from bench.machine import LOAD_CORE, RigError
from bench.plants import plant_source
from bench.rates import headers, sign_in
from bench.server import Contender, Server

MODULES = ("users", "auth", "catalog", "orders", "analytics", "effects")
CALM_SECONDS = 120.0
RATE = 100.0
"""Orders a second, steadily."""

EFFECTS = """
import os
import time
from core.plugin import Manifest, hookimpl, on
from modules.orders.events import OrderCreated


@hookimpl
def manifest():
    return Manifest("effects", "1.0", requires=("orders",))


async def note(session, event, delivery):
    async def committed():
        with open(os.environ["BENCH_EFFECTS"], "a") as file:
            file.write(f"{event.order_id} {time.time()}\\n")

    session.after_commit(committed)


@hookimpl
def subscriptions():
    return [on(OrderCreated, note)]
"""

NOT_RECORDED = "not recorded"
ELSEWHERE = "recorded, delivered by another process"
HERE = "recorded, delivered by the same process"


class Shop:
    """Tessera on one PostgreSQL database, its servers started and ended as a figure wants them."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder, self._url = folder, url
        self._effects = folder / "effects.txt"
        plant_source(folder / "plants", "effects", EFFECTS)
        self._contender = contenders.tessera(folder, MODULES, url=url)
        self._token = ""
        self._products = 0

    @contextmanager
    def open(self, *, worker: bool = False, **environ: str) -> Iterator[Server]:
        """A server with these settings, and a worker on the other core if one is wanted."""
        noted = {"BENCH_EFFECTS": str(self._effects), **environ}
        with ExitStack() as stack:
            server = stack.enter_context(Server(self._with(noted)))
            if worker:
                mine = {**noted, "TESSERA_SERVER__ROLE": "worker"}
                helper = replace(self._with(mine), name="worker", proofs=())
                stack.enter_context(Server(helper, core=LOAD_CORE))
            self._furnish(server)
            yield server

    def _with(self, environ: Mapping[str, str]) -> Contender:
        return replace(self._contender, environ={**self._contender.environ, **environ})

    def _furnish(self, server: Server) -> None:
        """Once: products, and somebody who buys."""
        if not self._token:
            self._products = seed_products(self._url)
            _, self._token = sign_in(server)

    def bodies(self) -> list[str]:
        """Orders of one line, spread over the products."""
        lines = ({"product_id": n, "quantity": 1} for n in range(1, self._products + 1))
        return [json.dumps({"lines": [line]}) for line in lines]

    @property
    def headers(self) -> dict[str, str]:
        """Of the one who buys."""
        return headers(self._token)

    def shoot(self, name: str, server: Server, *, seconds: float) -> Sample:
        """Orders as fast as they go, after a warm-up."""
        case = Case(name, server, Load(["/v1/orders"], 16, "POST", self.bodies(), self.headers))
        shoot(case, seconds=WARM_UP_SECONDS)
        keep_off_the_servers_core(self._url)
        return shoot(case, seconds=seconds)

    def calm(self) -> None:
        """Wait until everything was delivered. Raises RigError."""
        waiting = (
            "SELECT (SELECT count(*) FROM core_outbox WHERE state = 'pending')"
            " + (SELECT count(*) FROM core_deliveries)"
        )
        deadline = time.monotonic() + CALM_SECONDS
        while left := run(statement(self._url, waiting))[0][0]:
            if time.monotonic() > deadline:
                raise RigError(f"{left} events were not delivered in {CALM_SECONDS:.0f} s")
            time.sleep(0.2)

    def effects(self) -> dict[int, float]:
        """When each order had its effect (`time.time`)."""
        text = self._effects.read_text() if self._effects.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()
        return {int(number): float(at) for number, at in map(str.split, lines)}


def order_with_its_event(options: Options) -> Figure:
    """What an order costs when it is recorded and delivered, against one nobody hears of."""
    figure = Figure("POST /v1/orders with its event, on PostgreSQL")
    ways: dict[str, dict[str, str]] = {
        NOT_RECORDED: {"TESSERA_EVENTS__RECORDING": "false", "TESSERA_SERVER__ROLE": "api"},
        ELSEWHERE: {"TESSERA_SERVER__ROLE": "api"},
        HERE: {"TESSERA_SERVER__ROLE": "all"},
    }
    series = {name: Series(name) for name in ways}
    with scratch() as folder, postgresql() as url:
        shop = Shop(folder, url)
        for _ in range(options.rounds):
            for name, environ in ways.items():
                with shop.open(worker=name == ELSEWHERE, **environ) as server:
                    sample = shop.shoot(name, server, seconds=options.seconds)
                    series[name].samples.append(sample)
                    shop.calm()
    figure.series = list(series.values())
    nothing, elsewhere, here = figure.series
    figure.verdicts = [
        faster(elsewhere, nothing, claim=f"an order {ELSEWHERE} / {NOT_RECORDED}", bound=0.8),
        faster(here, nothing, claim=f"an order {HERE} / {NOT_RECORDED}"),
    ]
    return figure


def reach(options: Options) -> Figure:
    """How long after its 201 an order has its effect, at a steady rate of orders."""
    figure = Figure(f"From 201 to the effect, at {RATE:.0f} orders a second, on PostgreSQL")
    with scratch() as folder, postgresql() as url:
        shop = Shop(folder, url)
        _reach(figure, shop, options, "embedded, one process", 100.0, worker=False)
        _reach(figure, shop, options, "embedded, api and worker", 300.0, worker=True)
    with scratch() as folder, postgresql() as url, kafka() as servers:
        shop = Shop(folder, url)
        broker = {"TESSERA_KAFKA__BOOTSTRAP_SERVERS": servers.address}
        broker["TESSERA_KAFKA__TOPIC_PREFIX"] = servers.prefix
        _reach(figure, shop, options, "Kafka, api and worker", None, worker=True, **broker)
    return figure


def _reach(
    figure: Figure,
    shop: Shop,
    options: Options,
    name: str,
    bound: float | None,
    *,
    worker: bool,
    **environ: str,
) -> None:
    role = {"TESSERA_SERVER__ROLE": "api"} if worker else {}
    rounds: list[list[float]] = []
    with shop.open(worker=worker, **role, **environ) as server:
        _delays(shop, server, seconds=2)  # to warm up
        rounds += [_delays(shop, server, seconds=options.seconds) for _ in range(options.rounds)]
    tails = [quantiles(delays, n=100)[98] for delays in rounds]
    figure.verdicts.append(
        Verdict(
            f"201 to effect, {name}: p99 in ms",
            median(tails),
            (min(tails), max(tails)),
            bound=bound,
            sense="at most",
        )
    )
    middle = median(quantiles(delays, n=100)[49] for delays in rounds)
    figure.rows.append(
        {
            "": name,
            "p50 ms": f"{middle:.0f}",
            "p99 ms": f"{median(tails):.0f} ({min(tails):.0f}–{max(tails):.0f})",
            "orders": f"{sum(map(len, rounds))}",
        }
    )


def _delays(shop: Shop, server: Server, *, seconds: float) -> list[float]:
    """In ms; an effect that was there before the answer was read counts as 0. Raises RigError."""
    count = round(RATE * seconds)
    bodies = (shop.bodies() * (count // 77 + 1))[:count]
    answers = run(steady.post(server.port, "/v1/orders", bodies, shop.headers, rate=RATE))
    if wrong := [it for it in answers if it.status != 201]:
        raise RigError(f"{len(wrong)} orders were refused, the first: {wrong[0].body!r}")
    answered = {json.loads(it.body)["id"]: it.at for it in answers}
    effects: dict[int, float] = {}
    deadline = time.monotonic() + CALM_SECONDS
    while len(effects) < count:
        if time.monotonic() > deadline:
            raise RigError(f"{count - len(effects)} orders of {count} had no effect")
        time.sleep(0.2)
        effects = {order: at for order, at in shop.effects().items() if order in answered}
    return [max(0.0, effects[order] - at) * 1000 for order, at in answered.items()]
