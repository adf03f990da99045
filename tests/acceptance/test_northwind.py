"""What a newcomer does: serve, make an admin, load Northwind; by the command line, on SQLite."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.kafka import kafka, topic_prefix

__all__ = ["kafka", "topic_prefix"]

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = {
    "1996": (152, "208083.99"),
    "1997": (408, "617085.35"),
    "1998": (270, "440623.95"),
}
EMAIL, PASSWORD = "admin@tessera.example", "correct horse battery"


@dataclass
class Installation:
    """The program, in a folder of its own with the settings that the project ships."""

    folder: Path
    port: int
    kafka: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where its server listens."""
        return f"http://127.0.0.1:{self.port}"

    def environ(self) -> dict[str, str]:
        """No setting from this machine, but the port and the file."""
        kept = {name: it for name, it in os.environ.items() if not name.startswith("TESSERA_")}
        mine = {
            "TESSERA_SETTINGS": str(ROOT / "settings.toml"),
            "TESSERA_SERVER__PORT": str(self.port),
            "TESSERA_DATABASE__URL": f"sqlite+aiosqlite:///{self.folder / 'tessera.db'}",
        }
        return kept | mine | self.kafka

    def start(self) -> subprocess.Popen[bytes]:
        """``serve``, ready to be asked."""
        with (self.folder / "serve.log").open("wb") as log:
            server = subprocess.Popen(
                [sys.executable, str(ROOT / "main.py"), "serve"],
                cwd=self.folder,
                env=self.environ(),
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while not self.ready():
            assert server.poll() is None, (self.folder / "serve.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return server

    def ready(self) -> bool:
        """Whether it says that it is."""
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def run(self, *words: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
        """A verb of the command line, the password on standard input."""
        return subprocess.run(
            [sys.executable, str(ROOT / "main.py"), *words],
            cwd=self.folder,
            env=self.environ(),
            input=f"{password}\n",
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def load(self, *, email: str = EMAIL, password: str = PASSWORD) -> tuple[int, str, str]:
        """``demo northwind``: exit code and what it said."""
        done = self.run("demo", "northwind", "--url", self.url, "--email", email, password=password)
        return done.returncode, done.stdout, done.stderr

    def sales(self) -> dict[str, tuple[int, str]]:
        """What analytics tells of the years, once nothing waits any more."""
        deadline = time.monotonic() + 180
        while any(it["waiting"] or it.get("lag") for it in self.backlog()):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        form = {"username": EMAIL, "password": PASSWORD}
        token = httpx2.post(f"{self.url}/v2/auth/login", data=form).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        answer = httpx2.get(f"{self.url}/v2/analytics/sales?by=year", headers=bearer)
        return {it["period"]: (it["orders"], it["revenue"]["amount"]) for it in answer.json()}

    def backlog(self) -> list[dict[str, Any]]:
        """What waits for the relay and for each group."""
        told = json.loads(self.run("events", "status", "--json").stdout)
        return [told["relay"], *told["groups"]]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Installation]:
    """A running server with an admin; ended by SIGTERM, with 0."""
    with installed(tmp_path) as there:
        yield there


@contextmanager
def installed(folder: Path, **kafka: str) -> Iterator[Installation]:
    """The same; `kafka` are settings of that section."""
    environ = {f"TESSERA_KAFKA__{name.upper()}": value for name, value in kafka.items()}
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        there = Installation(folder, held.getsockname()[1], environ)
    server = there.start()
    try:
        made = there.run("users", "create-admin", "--email", EMAIL)
        assert made.returncode == 0, made.stderr
        yield there
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=30)
    assert code == 0, (folder / "serve.log").read_text()


@pytest.mark.slow
def test_northwind_adds_up_and_a_second_load_doubles_nothing(served: Installation) -> None:
    """The API adds up to the published 830 orders, 51,317 units and 1,265,793.29, loaded twice; so
    does analytics, from events alone, and again when they are replayed; nobody but the admin gets
    mail."""
    code, said, wrong = served.load()
    assert (code, wrong) == (0, "")
    assert "orders: 830 created, 0 already there" in said
    code, said, wrong = served.load()
    assert (code, wrong) == (0, "")
    assert "nothing was changed" in said
    assert "51,317" in said
    assert "1,265,793.29" in said
    assert served.sales() == PUBLISHED
    replayed = served.run("events", "replay", "--group", "analytics")
    assert (replayed.returncode, "830 events" in replayed.stdout) == (0, True), replayed.stderr
    assert served.sales() == PUBLISHED
    check = [sys.executable, "-m", "dev.northwind_check", served.url, EMAIL]
    done = subprocess.run(
        check, cwd=ROOT, input=f"{PASSWORD}\n", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [mail] = (served.folder / "var" / "mail").iterdir()
    assert f"To: admin <{EMAIL}>" in mail.read_text()


@pytest.mark.slow
@pytest.mark.kafka
def test_northwind_adds_up_over_kafka(tmp_path: Path, kafka: str, topic_prefix: str) -> None:
    """With a broker in between analytics has the same figures from events alone, and again when
    they are replayed."""
    with installed(tmp_path, bootstrap_servers=kafka, topic_prefix=topic_prefix) as served:
        code, _, wrong = served.load()
        assert (code, wrong) == (0, "")
        assert served.sales() == PUBLISHED
        replayed = served.run("events", "replay", "--group", "analytics")
        assert (replayed.returncode, "830 events" in replayed.stdout) == (0, True), replayed.stderr
        assert served.sales() == PUBLISHED


def test_northwind_is_for_admins(served: Installation) -> None:
    """A wrong password and a user who is no admin are refused in one line; nothing is written."""
    code, _, said = served.load(password="another one entirely")
    assert code == 1
    assert "does not know that email and password" in said
    form = {"name": "Nobody", "email": "nobody@tessera.example", "password": PASSWORD}
    assert httpx2.post(f"{served.url}/v2/auth/register", json=form).status_code == 201
    code, _, said = served.load(email="nobody@tessera.example")
    assert code == 1
    assert "it takes an admin" in said
    assert httpx2.get(f"{served.url}/v2/products").json()["items"] == []
