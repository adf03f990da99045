"""A shop of several real processes, of which any may be killed, and buyers who never give up."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.support import ledgers
from tests.support.plants import Garden
from tests.support.processes import ROOT, Headers, Installation, Server

RELAY_PROCESS = ROOT / "tests" / "support" / "relay_process.py"
PRODUCTS = 20
QUICK = {"poll_seconds": 0.2, "backoff_seconds": 0.05, "lease_seconds": 1.5}
PRODUCTION_LIKE: dict[str, Any] = {
    "app": {"preflight": False},
    "server": {"access_log": False},
    **{f"modules.{group}": {"enabled": True} for group in ledgers.GROUPS},
}


AFTERWARDS_SECONDS = 2.0
"""For copies that a relay sent again: on a topic they may lie behind the last effect."""


class Fleet:
    """APIs and workers on one database; made by `fleet`."""

    def __init__(
        self, place: Installation, url: str, trouble: ledgers.Trouble, **sections: Any
    ) -> None:
        """`sections` are settings that say how events go."""
        self.place, self.url, self.trouble, self._sections = place, url, trouble, sections
        self.relays: list[subprocess.Popen[bytes]] = []
        self.apis: list[Server] = []
        self.workers: list[Server] = []
        self.ended: list[Server] = []
        self.admin: Headers = {}
        self.products: list[int] = []

    def start(self, role: str, *, failpoint: str = "") -> Server:
        """One process more, which is not waited for."""
        if failpoint:
            self.place.environ["TESSERA_TEST_FAILPOINT"] = failpoint
        try:
            server = self.place.start("--role", role)
        finally:
            self.place.environ.pop("TESSERA_TEST_FAILPOINT", None)
        (self.workers if role == "worker" else self.apis).append(server)
        return server

    def start_relays(self, count: int) -> None:
        """Processes that do nothing but relay, and start in a fraction of the time."""
        settings = json.dumps({"database": {"url": self.url}, **self._sections})
        command = [sys.executable, str(RELAY_PROCESS), settings, "stay"]
        environ = {"PYTHONPATH": str(ROOT)}
        self.relays += [subprocess.Popen(command, env=environ) for _ in range(count)]

    def stock(self) -> None:
        """An admin and products; one of them is sold out."""
        self.place.create_admin()
        [api, *_] = self.apis
        self.admin = api.login()
        self.products = [api.product(self.admin) for _ in range(PRODUCTS - 1)]
        self.products.append(api.product(self.admin, stock=0))

    def kill_one(self, chance: random.Random) -> str:
        """SIGKILL for one of them all, and another one in its place; which it was."""
        role = chance.choice(["api", "worker"])
        servers = self.apis if role == "api" else self.workers
        victim = servers.pop(chance.randrange(len(servers)))
        victim.kill()
        self.ended.append(victim)
        self.start(role)
        return role

    def wait_ready(self) -> None:
        """Until all are."""
        for server in [*self.apis, *self.workers]:
            server.wait_ready()

    def drain(self, *, seconds: float = 60) -> float:
        """Until every effect is there; how long it took. The processes that are there do it."""
        began = time.monotonic()
        while not ledgers.is_drained(self.url):
            spent = time.monotonic() - began
            assert spent < seconds, f"not drained after {spent:.0f} s: {ledgers.waiting(self.url)}"
            time.sleep(0.2)
        spent = time.monotonic() - began
        if "kafka" in self._sections:
            time.sleep(AFTERWARDS_SECONDS)
        return spent

    def close(self) -> None:
        """SIGKILL for all."""
        for server in [*self.apis, *self.workers]:
            server.kill()
        for relay in self.relays:
            relay.kill()
            relay.wait(timeout=10)


@contextmanager
def fleet(
    folder: Path, url: str, garden: Garden, *, roles: Sequence[str], **sections: Any
) -> Iterator[Fleet]:
    """A migrated shop with a process of each role, all ready, and products in it."""
    ledgers.plant(garden)
    sections = {"events": QUICK, **sections}
    place = Installation(folder, url, **{**PRODUCTION_LIKE, **sections})
    trouble = ledgers.Trouble(folder / "trouble.json")
    place.environ |= {"PYTHONPATH": str(garden.folder), ledgers.TROUBLE: str(trouble.file)}
    done = place.run("db", "upgrade")
    assert done.returncode == 0, done.stderr
    made = Fleet(place, url, trouble, **sections)
    try:
        for role in roles:
            made.start(role)
        made.wait_ready()
        made.stock()
        yield made
    finally:
        made.close()


class Buyers:
    """Threads that order without pause (or at a rate), and keep count of what was answered."""

    def __init__(
        self,
        made: Fleet,
        chance: random.Random,
        *,
        threads: int = 4,
        rate: float = 0.0,
        steps: bool = True,
    ) -> None:
        """`rate` is how many orders a second all of them are to place; 0: as many as they can.

        With `steps`, orders are taken on to be paid, shipped and delivered, some of them.
        """
        self._fleet, self._rate, self._steps = made, rate, steps
        self.answered: dict[int, str] = {}
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        """How long each order took that was answered 201."""
        self._enough: Callable[[], bool] = lambda: False
        self._due = time.monotonic()
        self._turn = threading.Lock()
        seeds = [chance.randrange(10**9) for _ in range(threads)]
        self._threads = [threading.Thread(target=self._buy, args=[it], daemon=True) for it in seeds]

    @property
    def placed(self) -> int:
        """How many orders were answered 201."""
        return len(self.answered)

    def begin(self) -> None:
        """From now on they buy."""
        self._due = time.monotonic()
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """No more."""
        self._enough = lambda: True
        for thread in self._threads:
            thread.join(timeout=60)
            assert not thread.is_alive()

    def until(self, orders: int, *, seconds: float = 120) -> None:
        """Until so many are placed."""
        deadline = time.monotonic() + seconds
        while self.placed < orders:
            assert time.monotonic() < deadline, f"{self.placed} orders; {self.statuses}"
            time.sleep(0.05)

    def _buy(self, seed: int) -> None:
        chance = random.Random(seed)
        clients: dict[str, httpx2.Client] = {}
        try:
            while not self._enough():
                self._await_turn()
                self._try_once(chance, clients)
        finally:
            for client in clients.values():
                client.close()

    def _await_turn(self) -> None:
        if not self._rate:
            return
        with self._turn:
            due, self._due = self._due, max(self._due, time.monotonic() - 1) + 1 / self._rate
        time.sleep(max(0.0, due - time.monotonic()))

    def _try_once(self, chance: random.Random, clients: dict[str, httpx2.Client]) -> None:
        urls = [server.url for server in [*self._fleet.apis] if server.url]
        if not urls:
            time.sleep(0.05)
            return
        url = chance.choice(urls)
        if url not in clients:
            clients[url] = httpx2.Client(base_url=url, timeout=15, headers=self._fleet.admin)
        try:
            self._order(clients[url], chance)
        except (httpx2.TransportError, ValueError):  # it was killed under us
            self.statuses[0] += 1
            time.sleep(0.02)

    def _order(self, client: httpx2.Client, chance: random.Random) -> None:
        products = chance.sample(self._fleet.products, 2)
        lines = [{"product_id": it, "quantity": 1} for it in sorted(products)]
        began = time.monotonic()
        answer = client.post("/v2/orders", json={"lines": lines})
        self.statuses[answer.status_code] += 1
        if answer.status_code != 201:
            return
        self.seconds.append(time.monotonic() - began)
        order = answer.json()["id"]
        self.answered[order] = "created"
        far = chance.choice([1, 1, 2, 4]) if self._steps else 1
        for step in ledgers.STEPS[1:far]:
            moved = client.patch(f"/v2/orders/{order}", json={"status": step})
            if moved.status_code != 200:
                return
            self.answered[order] = step


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed."""
    return sorted(values)[math.ceil(len(values) * share) - 1]


def resident_mib(server: Server) -> float:
    """The memory that a process holds."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
