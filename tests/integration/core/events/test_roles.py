"""``serve --role``: real processes, of which some answer HTTP and others deliver events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support import tower as towers
from tests.support.databases import database_url, empty_database
from tests.support.plants import Garden
from tests.support.processes import Installation, Server

__all__ = ["database_url"]
pytestmark = pytest.mark.timeout(300)


def installed(folder: Path, url: str, garden: Garden, **events: Any) -> Installation:
    """A deployment with tower and ledger, migrated; `events` are settings of those."""
    towers.plant(garden)
    made = Installation(
        folder,
        url,
        **{
            "app": {"preflight": False},
            "events": {**towers.QUICK, **events},
            "modules.tower": {"enabled": True},
            "modules.ledger": {"enabled": True},
        },
    )
    made.environ["PYTHONPATH"] = str(garden.folder)
    done = made.run("db", "upgrade")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def place(database_url: str, garden: Garden, tmp_path: Path) -> tuple[Installation, str]:
    """A deployment on either database, and the database's address."""
    return installed(tmp_path / "place", database_url, garden), database_url


def strike(server: Server, *bells: int) -> None:
    """One request a stroke."""
    with server.client() as client:
        for bell in bells:
            assert client.post(f"/v1/tower/{bell}").status_code == 201


def until(condition: Callable[[], Any], *, seconds: float = 60) -> None:
    """Until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.05)


@pytest.mark.slow
def test_an_api_records_and_a_worker_delivers(place: tuple[Installation, str]) -> None:
    """An API alone answers and leaves every event where it is; a worker beside it delivers what lay
    there and what comes, once and in order. It answers no API, and says so."""
    installation, url = place
    with installation.serving("--role", "api") as api:
        strike(api, 1, 2, 1)
        time.sleep(1)
        assert towers.waiting(url) == (3, 0)  # nobody relays
        assert api.call("GET", "/").json()["role"] == "api"
        with installation.serving("--role", "worker") as worker:
            until(lambda: len(towers.lines(url)) == 3)
            strike(api, 2, 1, 1)
            until(lambda: len(towers.lines(url)) == 6)
            assert towers.in_order(towers.lines(url))
            check_worker(worker)


def check_worker(worker: Server) -> None:
    """It is there to be watched, and for nothing else."""
    for path in ("/", "/health", "/livez", "/readyz", "/metrics"):
        assert worker.call("GET", path).status_code == 200, path
    front = worker.call("GET", "/").json()
    assert (front["role"], front["versions"]) == ("worker", {})
    for path in ("/v1", "/v1/tower/1", "/v2/docs", "/tower/1"):
        answer = worker.call("POST", path, headers={"Accept-Version": "1"})
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert "is a worker" in answer.json()["detail"]


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    """An empty PostgreSQL database."""
    with empty_database("postgresql", tmp_path) as url:
        yield url


@pytest.mark.slow
@pytest.mark.postgres
def test_several_workers_divide_the_work(postgres: str, garden: Garden, tmp_path: Path) -> None:
    """Two workers, one of which is two processes, come to hold shares of a group; one of them dies
    (SIGKILL) and the other goes on; the API never holds any. Each stroke has one effect."""
    installation = installed(tmp_path / "place", postgres, garden)
    owners = (
        "SELECT count(DISTINCT owner) FROM core_leases WHERE kind = 'ledger' "
        "AND lease_until > now()"
    )
    with installation.serving("--role", "api") as api:
        assert towers.query(postgres, owners) == [(0,)]
        with installation.serving("--role", "worker", "--workers", "2"):
            other = installation.start("--role", "worker")
            try:
                until(lambda: towers.query(postgres, owners) == [(3,)])
                strike(api, *[1, 2, 3, 4] * 5)
                other.kill()
                strike(api, *[1, 2, 3, 4] * 5)
                until(lambda: len(towers.lines(postgres)) == 40)
                until(lambda: towers.query(postgres, owners) == [(2,)])
            finally:
                other.kill()
        strike(api, 5)
        time.sleep(0.5)
        assert towers.waiting(postgres) == (
            1,
            0,
        )  # the workers have ended, and the API delivers none
    effects = towers.lines(postgres)
    assert len(effects) == 40
    assert towers.in_order(effects)


SWAP = """
    UPDATE core_leases AS mine SET epoch = epoch + 1, owner = (
        SELECT max(owner) FROM core_leases WHERE kind = 'ledger' AND owner <> mine.owner
    ) WHERE kind = 'ledger'
"""


@pytest.mark.slow
@pytest.mark.postgres
def test_processes_wake_each_other(postgres: str, garden: Garden, tmp_path: Path) -> None:
    """Where nobody looks for work oftener than every 30 s, a stroke in the API's process, relayed
    by one worker and delivered by another, has its effect within 2 s."""
    rare = {"poll_seconds": 30, "lease_seconds": 3}
    installation = installed(tmp_path / "place", postgres, garden, **rare)
    halves = (
        "SELECT kind, owner FROM core_leases WHERE kind IN ('relay', 'ledger') "
        "AND lease_until > now() GROUP BY kind, owner HAVING count(*) = 8"
    )
    with (
        installation.serving("--role", "api") as api,
        installation.serving("--role", "worker"),
        installation.serving("--role", "worker"),
    ):
        until(lambda: len(towers.query(postgres, halves)) == 4)
        towers.query(postgres, SWAP)  # or whoever relays a bucket would deliver it too
        time.sleep(rare["lease_seconds"])  # each learns of it when it renews its own
        strike(api, 0)
        until(lambda: (0, 1) in towers.lines(postgres))
        for bell in range(1, 9):
            strike(api, bell)
            until(lambda bell=bell: (bell, 1) in towers.lines(postgres), seconds=2)
        crossed = (
            "SELECT count(*) FROM core_leases AS a JOIN core_leases AS b USING (bucket, owner)"
        )
        assert towers.query(postgres, f"{crossed} WHERE a.kind < b.kind") == [(0,)]


def test_the_role_may_be_set_and_the_command_line_has_the_last_word(
    sqlite_url: str, garden: Garden, tmp_path: Path
) -> None:
    """`server.role` in the settings counts; `--role` goes before it; another word is refused."""
    installation = installed(tmp_path / "place", sqlite_url, garden)
    installation.environ["TESSERA_SERVER__ROLE"] = "worker"
    with installation.serving() as server:
        assert httpx2.get(f"{server.url}/v1/tower/1").status_code == 404
        assert "role=worker" in server.log
    with installation.serving("--role", "all") as server:
        strike(server, 1)
        until(lambda: towers.lines(sqlite_url) == [(1, 1)])
    wrong = installation.run("serve", "--role", "boss")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "'all', 'api', 'worker'" in wrong.stderr
