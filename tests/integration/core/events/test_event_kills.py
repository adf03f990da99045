"""A real process on SQLite, killed at random; `acceptance/test_events_killed.py` has the others."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support import soak
from tests.support import tower as towers
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

    def until(self, strokes: int, *, seconds: float = 60) -> None:
        """Until so many were answered."""
        deadline = time.monotonic() + seconds
        while len(self.answered) < strokes:
            assert time.monotonic() < deadline, len(self.answered)
            time.sleep(0.1)

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
def test_nothing_is_lost_or_doubled_on_sqlite(tmp_path: Path, garden: Garden) -> None:
    """The one server is killed (SIGKILL) at three random moments under load and started again: all
    that was answered has its effect once, in order."""
    chance = soak.chance()
    kills = soak.tier(3, 30)
    url = f"sqlite+aiosqlite:///{tmp_path / 'tessera.db'}"
    place = installed(tmp_path / "place", url, garden)
    server = place.start()
    try:
        server.wait_ready()
        ringer = Ringer([server], chance.randrange(10**6))
        ringer.start()
        for _ in range(kills):
            time.sleep(chance.uniform(0.5, 2.5))
            server.kill()
            ringer.servers[0] = server = place.start()
            server.wait_ready()
        ringer.until(50)
        ringer.done.set()
        ringer.join(timeout=30)
        towers.wait_until_calm(url)
        check(url, ringer.answered)
        soak.note("random kills on SQLite", kills=kills, events=len(ringer.answered))
    finally:
        server.kill()
