"""Two subscribers to the events of orders that write down what they are given, and what must hold.

Their tables have no unique constraint, so that an effect that is doubled shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.migrating import REVISION
from tests.support.plants import HEAD, Garden
from tests.support.tower import query

GROUPS = ("ledger", "journal")
STEPS = ("created", "paid", "shipped", "delivered")
TROUBLE = "TESSERA_TEST_TROUBLE"
"""Names the file that says which handlers are to have what trouble; see `Trouble`."""

LEDGER = (
    HEAD
    + """
import asyncio
import json
import os
from pathlib import Path
from sqlalchemy import text
from modules.orders.events import OrderCreated, OrderStatusChanged

LINE = text("INSERT INTO {id}_lines (order_id, what) VALUES (:order_id, :what)")
TROUBLE = Path(os.environ.get("TESSERA_TEST_TROUBLE", "none"))


async def trouble(order_id):
    if TROUBLE.exists():
        said = json.loads(TROUBLE.read_text()).get("{id}", {{}})
        if order_id % said.get("every", 10**9) == 0:
            await asyncio.sleep(said["seconds"])


async def created(session, event, _):
    await session.exec(LINE, params={{"order_id": event.order_id, "what": "created"}})
    await trouble(event.order_id)


async def changed(session, event, _):
    await session.exec(LINE, params={{"order_id": event.order_id, "what": event.new}})


@hookimpl
def manifest():
    return Manifest("{id}", "1.0", requires=("orders",))


@hookimpl
def subscriptions():
    return [on(OrderCreated, created), on(OrderStatusChanged, changed)]


@hookimpl
def migrations():
    return "planted_{id}:migrations"
"""
)
LINES = (
    'op.create_table("{id}_lines", sa.Column("id", sa.Integer(), primary_key=True), '
    'sa.Column("order_id", sa.BigInteger()), sa.Column("what", sa.String(20)))'
)


def plant(garden: Garden) -> None:
    """Both modules."""
    for name in GROUPS:
        package = garden.plant(name, LEDGER.format(id=name))
        revision = REVISION.format(
            number="0001",
            before="None",
            upgrade=f"    {LINES.format(id=name)}",
            downgrade="    pass",
        )
        garden.file(package, "migrations/0001_first.py", revision)


class Trouble:
    """What makes handlers slow, as processes of any age read it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def slow(self, group: str, *, every: int, seconds: float) -> None:
        """From now on a group's handler sleeps at each order whose number `every` divides."""
        self.file.write_text(json.dumps({group: {"every": every, "seconds": seconds}}))

    def over(self) -> None:
        """Nobody is slow any more."""
        self.file.unlink(missing_ok=True)


def effects(url: str, group: str) -> dict[int, list[str]]:
    """What a group wrote of each order, in the order in which it did."""
    found: dict[int, list[str]] = {}
    for order_id, what in query(url, f"SELECT order_id, what FROM {group}_lines ORDER BY id"):
        found.setdefault(order_id, []).append(what)
    return found


def count(url: str, group: str) -> int:
    """How many effects a group has written."""
    return int(query(url, f"SELECT count(*) FROM {group}_lines")[0][0])


def committed(url: str) -> dict[int, list[str]]:
    """What happened to each order, as the orders themselves say."""
    rows = query(url, "SELECT id, status FROM orders_orders")
    return {order_id: [*STEPS[: STEPS.index(status) + 1]] for order_id, status in rows}


def check(url: str, answered: Mapping[int, str]) -> int:
    """Every version of every order has one effect a group, in order; nothing else has any.

    `answered` is how far each order was said to be, over HTTP. An order may be further, whose
    answer died with its server. Returns how many effects there are.
    """
    happened = committed(url)
    lost = {it: step for it, step in answered.items() if step not in happened.get(it, [])}
    assert not lost, f"answered and not there: {lost}"
    for group in GROUPS:
        written = effects(url, group)
        wrong = [
            (it, written.get(it), happened.get(it))
            for it in written.keys() | happened.keys()
            if written.get(it) != happened.get(it)
        ]
        assert not wrong, f"{group}: {len(wrong)} orders, (number, effects, history): {wrong[:5]}"
    return sum(len(steps) for steps in happened.values()) * len(GROUPS)


def waiting(url: str) -> dict[str, int]:
    """How many events and deliveries wait; Kafka's own lag shows in what `check` finds."""
    counts: dict[str, Any] = {}
    for name, where in (("core_outbox", "WHERE state = 'pending'"), ("core_deliveries", "")):
        [(counts[name],)] = query(url, f"SELECT count(*) FROM {name} {where}")
    return counts


def leases(url: str) -> list[tuple[Any, ...]]:
    """Who holds how many buckets of which kind, for a person to look at."""
    held = "SELECT kind, owner, count(*) FROM core_leases WHERE lease_until > now() GROUP BY 1, 2"
    return [tuple(row) for row in query(url, f"{held} ORDER BY 1, 2")]


def is_drained(url: str) -> bool:
    """Whether every group has written as much as has happened, and nothing waits."""
    if any(waiting(url).values()):
        return False
    steps = sum(map(len, committed(url).values()))
    return all(count(url, group) >= steps for group in GROUPS)
