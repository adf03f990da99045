"""What must hold of events when processes are killed or frozen, on PostgreSQL and through Kafka.

INV: every order that was answered 201 has exactly one effect a group, none that failed has any, and
the versions of one order come in their order (`ledgers.check`).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.events.relay import PASS_SECONDS
from tests.support import ledgers, soak
from tests.support.databases import empty_database
from tests.support.fleet import Buyers, Fleet, fleet
from tests.support.kafka import private_broker
from tests.support.plants import Garden
from tests.support.tower import query

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(soak.tier(400, 3000))]
TRANSPORTS = ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """An empty PostgreSQL database."""
    with empty_database("postgresql", tmp_path) as address:
        yield address


@pytest.fixture(params=TRANSPORTS)
def broker(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A broker of the test's own, or none."""
    if request.param == "embedded":
        yield None
        return
    with private_broker() as mine:
        yield mine


def sections_of(broker: Any) -> dict[str, Any]:
    """The settings that name it."""
    if broker is None:
        return {}
    return {"kafka": {"bootstrap_servers": broker.servers, "partitions": 4}}


def test_random_kills(url: str, broker: Any, tmp_path: Path, garden: Garden) -> None:
    """Orders and their steps while APIs and workers (and the broker) are killed at random: INV, and
    the backlog is empty within a minute of calm."""
    chance, kills = soak.chance(), soak.tier(10, 100)
    orders = soak.tier(500, 5_000)
    victims: list[str] = []
    place = tmp_path / "place"
    with fleet(
        place, url, garden, roles=[*["api"] * 2, *["worker"] * 2], **sections_of(broker)
    ) as made:
        buyers = Buyers(made, chance)
        buyers.begin()
        for number in range(1, kills + 1):
            time.sleep(chance.uniform(0.3, 1.5))
            if broker is not None and number % 5 == 0:
                broker.kill()
                victims.append("broker")
                time.sleep(chance.uniform(0.2, 1.0))
                broker.start()
            else:
                victims.append(made.kill_one(chance))
            if number % 4 == 0:
                made.wait_ready()
        buyers.until(orders, seconds=soak.tier(200, 2_000))
        buyers.end()
        made.wait_ready()
        calm = made.drain()
        count = ledgers.check(url, buyers.answered)
    told = {
        "orders": buyers.placed,
        "effects": count,
        "kills": {it: victims.count(it) for it in victims},
    }
    soak.note("random kills", broker=broker is not None, drained=round(calm, 1), **told)
    assert buyers.statuses[409] > 0  # orders that failed were among them


CLAIM = ("claim.before", "claim.after")
MOVING = ("send.before", "send.after", "mark.before", "mark.after")
EFFECT = ("effect.before", "effect.after", "effect.committed")
RECORD = ("record.before_commit", "record.after_commit")
EMBEDDED = (*RECORD, *CLAIM, *MOVING, *EFFECT)
KAFKA = (*EMBEDDED, "send.flying", "offset.before", "offset.after")


def test_failpoints(url: str, broker: Any, tmp_path: Path, garden: Garden) -> None:
    """Processes killed at each named place, before and after commit, claim, send, mark, effect and
    offset commit: INV."""
    chance, times = soak.chance(), soak.tier(2, 20)
    places = EMBEDDED if broker is None else KAFKA
    wanted = [f"{name}:{chance.randint(1, 4)}" for name in places for _ in range(times)]
    chance.shuffle(wanted)
    with fleet(tmp_path / "place", url, garden, roles=["api"], **sections_of(broker)) as made:
        buyers = Buyers(made, chance, rate=soak.tier(20, 5))
        buyers.begin()
        at_once = soak.tier(4, 8)
        for at in range(0, len(wanted), at_once):
            all_die(made, wanted[at : at + at_once])
        made.start("worker").wait_ready()
        buyers.end()
        made.drain()
        count = ledgers.check(url, buyers.answered)
    soak.note("failpoints", broker=broker is not None, kills=len(wanted), effects=count)


def all_die(made: Fleet, failpoints: list[str]) -> None:
    """Start a process for each of these; each must die of it, at work."""
    armed = [
        (made.start("api" if name.startswith("record") else "worker", failpoint=name), name)
        for name in failpoints
    ]
    deadline = time.monotonic() + 90
    for server, name in armed:
        while server.process.poll() is None:
            if time.monotonic() > deadline:
                there = f"{ledgers.waiting(made.url)} wait, {ledgers.leases(made.url)}"
                pytest.fail(f"{name} was never reached; {there}\n{server.log[-2000:]}")
            time.sleep(0.05)
        assert server.process.returncode == -9, f"{name}: {server.process.returncode}\n{server.log}"
        (made.apis if server in made.apis else made.workers).remove(server)


def test_a_relay_that_was_frozen(url: str, broker: Any, tmp_path: Path, garden: Garden) -> None:
    """One of eight relays is stopped (SIGSTOP) in the middle of sending, or right after it, until
    others own all that it did and have sent what waited there; continued, it does no harm: INV. (In
    a transaction it keeps its leases until PostgreSQL ends that, outside until they end.)"""
    chance, rounds = soak.chance(), soak.tier(1, 20)
    middle = "send.before" if broker is None else "send.flying"
    places = (f"{middle}:2", "claim.inside:10", "mark.after:2", "send.after:2", "mark.before:2")
    frozen_for: list[float] = []
    with fleet(
        tmp_path / "place", url, garden, roles=["api", "worker", "worker"], **sections_of(broker)
    ) as made:
        made.start_relays(5)
        buyers = Buyers(made, chance, rate=30)
        buyers.begin()
        for number in range(rounds):
            frozen = made.start("worker", failpoint=f"{places[number % len(places)]}:stop")
            buckets = wait_stopped(frozen.process.pid, url)
            began = time.monotonic()
            time.sleep(3)  # twice the life of its lease
            wait_taken_over(frozen.process.pid, buckets, url)
            frozen_for.append(round(time.monotonic() - began, 1))
            frozen.process.send_signal(signal.SIGCONT)
            buyers.until(buyers.placed + 20)
            made.workers.remove(frozen)
            assert frozen.process.poll() is None
            frozen.kill()
        buyers.end()
        made.drain()
        count = ledgers.check(url, buyers.answered)
    figures = {"rounds": rounds, "effects": count, "frozen_s": frozen_for}
    soak.note("frozen relay", broker=broker is not None, **figures)


def owned(pid: int, url: str) -> set[int]:
    """The buckets of the relay that nobody has taken from that process."""
    rows = query(url, "SELECT bucket, owner FROM core_leases WHERE kind = 'relay'")
    return {bucket for bucket, owner in rows if owner.split(".")[-2] == str(pid)}


def wait_stopped(pid: int, url: str) -> set[int]:
    """Until the process has stopped itself; the buckets that it relayed by then."""
    deadline, buckets = time.monotonic() + 60, owned(pid, url)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline, "it never came to its failpoint"
        time.sleep(0.05)
        buckets = owned(pid, url) or buckets
    assert buckets, "it was stopped before it had any lease"
    return buckets


def wait_taken_over(pid: int, buckets: set[int], url: str) -> None:
    """Until others have what a stopped process relayed, and nothing older waits there."""
    [(last,)] = query(url, "SELECT max(seq) FROM core_outbox")
    waiting = (
        f"SELECT count(*) FROM core_outbox WHERE state = 'pending' AND seq <= {last} "
        f"AND bucket IN ({', '.join(map(str, sorted(buckets)))})"
    )
    deadline = time.monotonic() + PASS_SECONDS + 15
    while (left := owned(pid, url)) or query(url, waiting) != [(0,)]:
        assert time.monotonic() < deadline, f"nobody took over {left or 'what waited'}"
        time.sleep(0.1)
