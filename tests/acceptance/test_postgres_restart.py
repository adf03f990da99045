"""PostgreSQL restarted under a running server: 503 while it is gone, and good again at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.postgres import PrivateServer, private_server
from tests.support.processes import Headers, Installation, Server

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(300)]
RESTARTS = 10


@pytest.fixture
def postgres() -> Iterator[PrivateServer]:
    """A running PostgreSQL that nobody else uses."""
    with private_server() as running:
        yield running


class Callers:
    """Read, write and sign in without pause; count what they are told."""

    def __init__(self, server: Server, admin: Headers) -> None:
        self.server, self.admin = server, admin
        self.product = server.product(admin)
        self.told: Counter[str] = Counter()
        self.good_at = dict.fromkeys(("read", "write", "who"), 0.0)
        self.stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(kind,)) for kind in list(self.good_at) * 2
        ]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def _call(self, kind: str) -> None:
        with self.server.client(headers=self.admin) as client:
            while not self.stopped.is_set():
                try:
                    answer = self._ask(client, kind)
                except httpx2.TransportError as error:
                    self.told[f"{kind}: {error!r}"] += 1
                    continue
                self._note(kind, answer)

    def _ask(self, client: httpx2.Client, kind: str) -> httpx2.Response:
        if kind == "write":
            lines = [{"product_id": self.product, "quantity": 1}]
            return client.post("/v2/orders", json={"lines": lines})
        return client.get("/v2/products?limit=5" if kind == "read" else "/v1/auth/me")

    def _note(self, kind: str, answer: httpx2.Response) -> None:
        if answer.is_success:
            self.told["good"] += 1
            self.good_at[kind] = time.monotonic()
        elif answer.status_code == 503 and int(answer.headers.get("Retry-After", 0)) > 0:
            self.told["503"] += 1
            self.stopped.wait(0.01)
        else:
            self.told[f"{kind}: {answer.status_code} {answer.text[:200]}"] += 1

    def good_since(self, moment: float) -> bool:
        """Whether every kind of request has been answered well since then."""
        return min(self.good_at.values()) > moment


def test_ten_restarts_under_load(tmp_path: Path, postgres: PrivateServer) -> None:
    """Only 2xx and 503 with Retry-After, no 500; good again within 5 s of each of ten restarts."""
    there = Installation(tmp_path / "there", postgres.url, server={"access_log": False})
    there.create_admin()
    with there.serving() as server, Callers(server, server.login()) as callers:
        for number in range(RESTARTS):
            time.sleep(0.3)
            postgres.stop("immediate" if number % 2 else "fast")
            time.sleep(0.2)
            postgres.start()
            up = time.monotonic()
            while not callers.good_since(up) and time.monotonic() < up + 5:
                time.sleep(0.01)
            assert callers.good_since(up), f"restart {number}: {callers.told}"
        assert server.is_ready()
    assert set(callers.told) == {"good", "503"}, callers.told


def test_readiness_follows_the_database(tmp_path: Path, postgres: PrivateServer) -> None:
    """While PostgreSQL is away /readyz says 503 and names it, and /livez goes on."""
    there = Installation(tmp_path / "there", postgres.url)
    with there.serving() as server:
        postgres.stop()
        away = server.call("GET", "/readyz")
        assert away.status_code == 503
        assert "database" in away.text
        assert server.call("GET", "/livez").status_code == 200
        answer = server.call("GET", "/v1/products")
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
        postgres.start()
        server.wait_ready(seconds=5)
        assert server.call("GET", "/v1/products").json() == []
