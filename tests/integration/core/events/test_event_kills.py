"""Real processes, killed at random: what was answered 201 has one effect, what failed has none."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support import tower as towers
from tests.support.databases import KINDS, empty_database
from tests.support.plants import Garden
from tests.support.processes import Installation, Server

BELLS = 20
SECTIONS: dict[str, Any] = {
    "events": towers.QUICK,
    "modules.tower": {"enabled": True},
    "modules.ledger": {"enabled": True},
    "server": {"access_log": False},
}


def installed(folder: Path, url: str, garden: Garden) -> Installation:
    """A deployment with tower and ledger, migrated."""
    towers.plant(garden)
    made = Installation(folder, url, **SECTIONS)
    made.environ["PYTHONPATH"] = os.pathsep.join([str(garden.folder)])
    done = made.run("db", "upgrade")
    assert done.returncode == 0, done.stderr
    return made


class Ringer(threading.Thread):
    """Strikes bells as fast as they are answered, and keeps count of what was answered 201."""

    def __init__(self, servers: list[Server], seed: int) -> None:
        super().__init__(daemon=True)
        self.servers = servers
        self.answered: set[tuple[int, int]] = set()
        self.done = threading.Event()
        self._random = random.Random(seed)

    def run(self) -> None:
        while not self.done.is_set():
            server = self._random.choice(self.servers)
            try:
                url = f"{server.url}/v2/tower/{self._random.randrange(BELLS)}"
                answer = httpx2.post(url, timeout=10)
            except (httpx2.TransportError, ValueError):
                time.sleep(0.05)
                continue
            if answer.status_code == 201:
                stroke = answer.json()
                self.answered.add((stroke["bell"], stroke["count"]))


def check(url: str, answered: set[tuple[int, int]]) -> None:
    """Every stroke that was answered is there once; those of a bell are in order.

    A stroke may be there that was committed but whose answer died with its server.
    """
    effects = towers.lines(url)
    assert len(effects) == len(set(effects)), "an effect was doubled"
    assert answered <= set(effects), f"lost: {sorted(answered - set(effects))[:5]}"
    assert towers.in_order(effects)
    [(committed,)] = towers.query(url, "SELECT sum(strokes) FROM tower_bells")
    assert len(effects) == committed


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_or_doubled_when_processes_are_killed(
    kind: str, tmp_path: Path, garden: Garden
) -> None:
    """A server is killed (SIGKILL) at three random moments under load and started again; on
    PostgreSQL one of two. All that was answered has its effect once, in order."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with empty_database(kind, tmp_path) as url:
        place = installed(tmp_path / "place", url, garden)
        servers = [place.start() for _ in range(2 if kind == "postgresql" else 1)]
        try:
            for server in servers:
                server.wait_ready()
            ringer = Ringer(servers, seed)
            ringer.start()
            for _ in range(3):
                time.sleep(chance.uniform(0.5, 2.5))
                victim = chance.randrange(len(servers))
                servers[victim].kill()
                servers[victim] = place.start()
                servers[victim].wait_ready()
            time.sleep(1)
            ringer.done.set()
            ringer.join(timeout=30)
            towers.wait_until_calm(url)
            check(url, ringer.answered)
            assert len(ringer.answered) > 20
        finally:
            for server in servers:
                server.kill()


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(600)
def test_a_frozen_owner_loses_its_lease_and_does_no_harm(tmp_path: Path, garden: Garden) -> None:
    """A process is stopped (SIGSTOP) for longer than its leases live: the other one takes over all
    its buckets and delivers what it had; continued, it doubles nothing."""
    with empty_database("postgresql", tmp_path) as url:
        place = installed(tmp_path / "place", url, garden)
        with place.serving_many(2) as servers:
            frozen, living = servers
            halves = "SELECT count(DISTINCT owner) FROM core_leases WHERE lease_until > now()"
            deadline = time.monotonic() + 30
            while towers.query(url, halves) != [(2,)]:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            ringer = Ringer([living], seed=1)
            ringer.start()
            time.sleep(0.5)
            frozen.process.send_signal(signal.SIGSTOP)
            try:
                time.sleep(3)
                ringer.done.set()
                ringer.join(timeout=30)
                towers.wait_until_calm(url)
                [(epochs,)] = towers.query(url, "SELECT max(epoch) FROM core_leases")
                assert epochs > 1
            finally:
                frozen.process.send_signal(signal.SIGCONT)
            check(url, ringer.answered)
            again = Ringer([living, frozen], seed=2)
            again.start()
            time.sleep(2)
            again.done.set()
            again.join(timeout=30)
            towers.wait_until_calm(url)
            check(url, ringer.answered | again.answered)
