"""Figures of processes: how long until one answers, how much memory it holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import contenders
from bench.database import postgresql, seed_products
from bench.figure import Figure, Options, Verdict, no_more, running, scratch
from bench.load import Case, Load, shoot
from bench.server import Contender, Server

LEAST_STARTS = 5
SQLITE = "sqlite+aiosqlite:///"
METHODS = {"get", "post", "put", "patch", "delete"}


@dataclass
class Starts:
    """How long the starts of one contender took: seconds by the clock, and of CPU time."""

    name: str
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def row(self) -> dict[str, str]:
        """A line of the table."""
        return {
            "start to first 200": self.name,
            "seconds": f"{median(self.wall):.2f} ({min(self.wall):.2f}–{max(self.wall):.2f})",
            "CPU seconds": f"{median(self.cpu):.2f}",
        }


def start(contender: Contender, starts: Starts) -> None:
    """Start it once, note how long it took, and end it."""
    server = Server(contender)
    try:
        took = server.start()
        starts.wall.append(took.wall)
        starts.cpu.append(took.cpu)
    finally:
        server.stop()


def in_turn(
    wanted: Sequence[tuple[str, Contender, Callable[[], None]]], options: Options
) -> list[Starts]:
    """Start each in turn, after what comes before it; once unmeasured, so that files are cached."""
    found = [Starts(name) for name, _, _ in wanted]
    for starts in [[Starts("") for _ in wanted], *[found] * max(LEAST_STARTS, options.rounds)]:
        for (_, contender, prepare), into in zip(wanted, starts, strict=True):
            prepare()
            start(contender, into)
    return found


def slower(over: Starts, under: Starts, *, claim: str) -> Verdict:
    """Three times as long at most."""
    cpu = median(over.cpu) / median(under.cpu)
    return no_more(over.wall, under.wall, claim=claim, bound=3, cpu=cpu)


def routes_of(contender: Contender) -> int:
    """How many operations there are in its schemas."""
    with running(contender) as (server,):
        schemas = [json.loads(server.get(f"/{v}/openapi.json")[1]) for v in ("v1", "v2")]
    return sum(len(METHODS & {*item}) for schema in schemas for item in schema["paths"].values())


def without(file: Path) -> Callable[[], None]:
    """What removes one file that earlier starts left."""
    return lambda: file.unlink(missing_ok=True)


def forget(folder: Path) -> Callable[[], None]:
    """What removes all that earlier starts left in a folder: the database, and what is kept."""

    def remove() -> None:
        for file in folder.iterdir():
            file.unlink()

    return remove


def keep() -> None:
    """What comes before a start on a database that is there already."""


def start_up(options: Options) -> Figure:
    """From the start of the process to the first 200, on SQLite."""
    with scratch() as folder:
        tessera = contenders.tessera(folder, contenders.SHIPPED)
        routes = routes_of(tessera)
        (folder / "plain").mkdir()
        url = f"{SQLITE}/{folder}/plain/plain.db"
        plain = contenders.by_hand("plain_sql:app", url=url, BENCH_ROUTES=str(routes))
        figure = Figure(f"Start-up to ready, {routes} routes, on SQLite")
        plain_again, ours_again, plain_first, ours_first = in_turn(
            [
                ("plain FastAPI + SQLModel, tables there", plain, keep),
                ("Tessera, tables there", tessera, keep),
                ("plain FastAPI + SQLModel, no tables yet", plain, forget(folder / "plain")),
                ("Tessera, no tables yet", tessera, forget(folder / "var")),
            ],
            options,
        )
    figure.rows = [s.row() for s in (plain_again, ours_again, plain_first, ours_first)]
    figure.verdicts = [
        slower(ours_again, plain_again, claim="start: Tessera / plain FastAPI + SQLModel"),
        slower(ours_first, plain_first, claim="first start, which makes the tables: the same"),
    ]
    return figure


def fifty_plugins(options: Options) -> Figure:
    """The start with 50 planted plugins of ten routes a version beside the shipped modules."""
    figure = Figure("Start-up with 50 plugins of 10 routes")
    with scratch() as folder:
        alone = contenders.tessera(folder / "alone", contenders.SHIPPED)
        many = contenders.tessera_with_many(
            folder / "many", 50, routes=10, shipped=contenders.SHIPPED
        )
        verdicts = folder / "many" / "var" / "preflight.json"
        none, fifty, first = in_turn(
            [
                ("no plugin", alone, keep),
                ("50 plugins", many, keep),
                ("50 plugins never seen before, rehearsed first", many, without(verdicts)),
            ],
            options,
        )
    figure.rows = [none.row(), fifty.row(), first.row()]
    figure.verdicts = [
        slower(fifty, none, claim="start: with 50 plugins / with none"),
        slower(first, none, claim="first start, which rehearses 50 plugins: the same"),
    ]
    return figure


def memory(options: Options) -> Figure:
    """What a worker holds after the same load, on PostgreSQL."""
    with scratch() as folder, postgresql() as url:
        tessera = contenders.tessera(folder, contenders.SHIPPED, url=url)
        routes = routes_of(tessera)
        plain = contenders.by_hand("plain_sql:app", url=url, BENCH_ROUTES=str(routes))
        figure = Figure(f"Memory of a worker, {routes} routes, on PostgreSQL, after the same load")
        with running(plain, tessera) as (theirs, ours):
            seed_products(url)
            add_items(theirs)
            lines = [
                _after_load(theirs, "/v1/items0", ["/openapi.json"], options),
                _after_load(ours, "/v1/products", ["/v1/openapi.json"], options),
            ]
    figure.rows = [
        {"a worker": name, "resident MiB": f"{rss:.0f}", "proportional MiB": f"{pss:.0f}"}
        for name, (rss, pss) in zip(("plain FastAPI + SQLModel", "Tessera"), lines, strict=True)
    ]
    plain_rss, our_rss = lines[0][0], lines[1][0]
    figure.verdicts = [
        no_more([our_rss], [plain_rss], claim="memory: Tessera / plain FastAPI + SQLModel", bound=2)
    ]
    return figure


def add_items(server: Server) -> None:
    """As many rows for the plain contender as there are products."""
    for number in range(77):
        body = json.dumps({"sku": f"NW-{number}", "name": f"Item {number}", "price_minor": 100})
        server.request("POST", "/v1/items0", body, {"Content-Type": "application/json"})


def _after_load(
    server: Server, prefix: str, once: Sequence[str], options: Options
) -> tuple[float, float]:
    for path in once:
        server.get(path)
    paths = [f"{prefix}?limit=20", *(f"{prefix}/{number}" for number in range(1, 78))]
    shoot(Case(prefix, server, Load(paths)), seconds=options.seconds)
    return server.memory_mib()
