"""Figures of Kafka: the relay against a bare producer, the consumer against bare inserts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench import contenders
from bench.broker import Broker, kafka
from bench.database import postgresql, run, statement
from bench.figure import Figure, Options, Verdict, scratch
from bench.machine import SERVER_CORE, RigError, on_core
from bench.plants import plant_source
from bench.server import ROOT, Contender, Server

COUNT = 10_000
"""Events of one round."""
ROUND_SECONDS = 180.0
MODULES = ("users", "auth", "catalog", "orders")
SINGLY, TOGETHER = "the same two inserts, a transaction a message", "the same, 50 a transaction"

LEDGER = """
from sqlalchemy import text
from core.plugin import Manifest, hookimpl, on
from modules.orders.events import OrderCreated

EFFECT = text("INSERT INTO ledger_lines (event_id, at) VALUES (:event_id, clock_timestamp())")


@hookimpl
def manifest():
    return Manifest("ledger", "1.0", requires=("orders",))


async def write(session, event, delivery):
    await session.exec(EFFECT, params={"event_id": str(delivery.event_id)})


@hookimpl
def subscriptions():
    return [on(OrderCreated, write)]
"""

# Each of an order of its own, as orders are; the payload is that of an order of two lines.
FILL = """
INSERT INTO core_outbox (id, type, aggregate_type, aggregate_id, aggregate_version, bucket, payload,
                         headers, state, attempts, created_at, available_at)
SELECT gen_random_uuid(), 'orders.order_created.v1', 'orders.order', n::text, 1, n % 16, $1,
       '{{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}',
       'pending', 0, now(), now()
FROM generate_series({first}, {last}) AS n
"""
PAYLOAD = json.dumps(
    {
        "order_id": 1,
        "user_id": 1,
        "placed_at": "2026-11-23T00:00:00Z",
        "imported": False,
        "currency": "USD",
        "total_minor": 5400,
        "units": 3,
        "lines": [
            {"product_id": n, "quantity": n, "unit_price_minor": 1800, "total_minor": n * 1800}
            for n in (1, 2)
        ],
    }
)


class Line:
    """A database, a broker and Tessera's processes between them."""

    def __init__(self, folder: Path, url: str, broker: Broker) -> None:
        self._folder, self._url, self._broker = folder, url, broker
        self._filled = 0
        plant_source(folder / "plants", "ledger", LEDGER)

    def contender(self, *modules: str, role: str) -> Contender:
        """Tessera with the broker; each set of modules has a folder of its own."""
        folder = self._folder / f"{role}-{len(modules)}"
        made = contenders.tessera(folder, (*MODULES, *modules), url=self._url, name=role)
        environ = {
            "TESSERA_KAFKA__BOOTSTRAP_SERVERS": self._broker.address,
            "TESSERA_KAFKA__TOPIC_PREFIX": self._broker.prefix,
            "TESSERA_SERVER__ROLE": role,
        }
        return replace(made, environ=environ, paths=[self._folder / "plants"], proofs=())

    def prepare(self) -> None:
        """Tables, the ledger's group, and a table for its lines."""
        with Server(self.contender("ledger", role="api")):
            table = "CREATE TABLE ledger_lines (event_id text, at timestamptz)"
            run(statement(self._url, table))

    def fill(self) -> None:
        """A round's events, recorded."""
        first, self._filled = self._filled + 1, self._filled + COUNT
        run(statement(self._url, FILL.format(first=first, last=self._filled), PAYLOAD))

    def wait(self, question: str, wanted: int) -> None:
        """Until a count is what it must be. Raises RigError."""
        deadline = time.monotonic() + ROUND_SECONDS
        while (found := self.ask(question)[0]) != wanted:
            if time.monotonic() > deadline:
                raise RigError(f"after {ROUND_SECONDS:.0f} s {found} of {wanted}: {question}")
            time.sleep(0.3)

    def ask(self, question: str) -> tuple[int, ...]:
        """One row."""
        return tuple(run(statement(self._url, question))[0])

    def relayed(self) -> float:
        """Events a second of a round: from the marks, the first batch's not counted."""
        first = f"(SELECT min(published_at) FROM core_outbox WHERE {self._round})"
        return self._rate(
            f"SELECT count(*), extract(epoch FROM max(published_at) - {first}) "
            f"FROM core_outbox WHERE {self._round} AND published_at > {first}"
        )

    def consumed(self) -> float:
        """Effects a second of the round that lies in the ledger."""
        return self._rate(
            "SELECT count(*), extract(epoch FROM max(at) - min(at)) FROM ledger_lines"
        )

    @property
    def _round(self) -> str:
        return f"aggregate_id::bigint > {self._filled - COUNT}"

    def _rate(self, question: str) -> float:
        count, seconds = self.ask(question)
        return count / float(seconds)

    def messages(self) -> Path:
        """What a bare producer is to send: the round's events as the relay sends them."""
        from core.events.kafka import cloudevents

        rows = run(statement(self._url, f"SELECT * FROM core_outbox WHERE {self._round}"))
        file = self._folder / "messages.jsonl"
        with file.open("w") as lines:
            for row in rows:
                headers = [(k, v.decode()) for k, v in cloudevents.encode(Row(row))]
                line = {"key": row["aggregate_id"], "value": row["payload"], "headers": headers}
                lines.write(json.dumps(line) + "\n")
        return file

    def forget(self) -> None:
        """Nothing was consumed."""
        run(statement(self._url, "TRUNCATE ledger_lines, core_inbox"))


class Row:
    """A row whose columns are attributes."""

    def __init__(self, values: object) -> None:
        self.__dict__.update(dict(values))  # type: ignore[call-overload]  # asyncpg has no types


def script(name: str, *words: str, **environ: str) -> float:
    """Run one of bench/apps on the servers' core; the number that it prints. Raises RigError."""
    command = on_core(SERVER_CORE, sys.executable, "-m", f"bench.apps.{name}", *words)
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RigError(f"{name} failed: {done.stderr[-2000:]}")
    return float(done.stdout)


def through_kafka(options: Options) -> Figure:
    """Both ends of a topic, one after the other, in turn with what one would write by hand."""
    figure = Figure(f"{COUNT:,} events through Kafka, on PostgreSQL")
    rates: dict[str, list[float]] = {}
    with ExitStack() as stack:
        folder, url = stack.enter_context(scratch()), stack.enter_context(postgresql())
        broker = stack.enter_context(kafka())
        line = Line(folder, url, broker)
        line.prepare()
        for _ in range(options.rounds):
            for name, rate in _round(line, url, broker).items():
                rates.setdefault(name, []).append(rate)
    figure.rows = [
        {"": name, "a second": f"{median(it):,.0f} ({min(it):,.0f}–{max(it):,.0f})"}
        for name, it in rates.items()
    ]
    figure.verdicts = [
        _ratio(rates, "relay", "bare producer", bound=0.3),
        _ratio(rates, "consumer", SINGLY, bound=0.5),
        _ratio(rates, "consumer", TOGETHER),
    ]
    return figure


def _round(line: Line, url: str, broker: Broker) -> dict[str, float]:
    line.forget()
    line.fill()
    pending = "SELECT count(*) FROM core_outbox WHERE state = 'pending'"
    with Server(line.contender(role="worker")):
        line.wait(pending, 0)
    found = {"relay": line.relayed()}
    topic = f"{broker.prefix}.bare"
    _make(broker, topic)
    found["bare producer"] = script("bare_producer", broker.address, topic, str(line.messages()))
    with Server(line.contender("ledger", role="worker")):
        line.wait("SELECT count(*) FROM ledger_lines", COUNT)
    found["consumer"] = line.consumed()
    for name, together in ((SINGLY, "1"), (TOGETHER, "50")):
        line.forget()
        count = str(COUNT if together != "1" else COUNT // 4)
        found[name] = script("bare_inserts", count, together, BENCH_DATABASE_URL=url)
    return found


def _make(broker: Broker, topic: str) -> None:
    """With as many partitions as Tessera gives a topic."""
    import asyncio

    from core.events.kafka.topics import Topics
    from core.settings import KafkaSettings

    settings = KafkaSettings(bootstrap_servers=broker.address, topic_prefix=broker.prefix)
    asyncio.run(Topics(settings, again_seconds=1.0).ready([topic]))


def _ratio(
    rates: dict[str, list[float]], over: str, under: str, *, bound: float | None = None
) -> Verdict:
    rounds = [a / b for a, b in zip(rates[over], rates[under], strict=True)]
    ratio = median(rates[over]) / median(rates[under])
    return Verdict(f"{over} / {under}", ratio, (min(rounds), max(rounds)), bound=bound)
