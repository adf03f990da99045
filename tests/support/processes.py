"""The program as its users run it: real processes in a folder of their own, on real sockets."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.support import prepared
from tests.support.prepared import PROGRAM, Process

ROOT = Path(__file__).resolve().parents[2]
EMAIL, PASSWORD = "admin@tessera.example", "correct horse battery"
MODULES = ("users", "auth", "catalog", "orders", "cache")
READY_SECONDS = 150.0
"""The machine may be shared with other suites: patience costs nothing when all is well."""
STOP_SECONDS = 30.0
# Hashes that cost little, and no throttle for the one address that all tests come from.
AUTH = {"argon2_memory_kib": 8192, "argon2_iterations": 1, "failures_per_address": 1_000_000}

Headers = dict[str, str]
_numbers = itertools.count(1)


class Installation:
    """A working folder with a settings.toml, and nothing of this machine's environment."""

    measured = False
    """Whether the seconds of its starts count: then each is by a new interpreter, as a user's."""

    def __init__(self, folder: Path, database_url: str, **sections: Mapping[str, Any]) -> None:
        """`sections` are further tables of settings.toml: ``server={"workers": 2}``."""
        self.folder = folder
        self.environ: dict[str, str] = {}
        modules = {name: {"enabled": True} for name in MODULES}
        modules["auth"] |= AUTH
        tables: dict[str, Any] = {"database": {"url": database_url}, **sections}
        tables |= {f"modules.{name}": options for name, options in modules.items()}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "settings.toml").write_text("".join(map(_table, tables.items())))

    def command(self, *words: str) -> list[str]:
        """How the program is called with these words."""
        return [*PROGRAM, *words]

    def env(self) -> dict[str, str]:
        """This process's environment without anything of Tessera's; then `environ`."""
        kept = {name: it for name, it in os.environ.items() if not name.startswith("TESSERA_")}
        return kept | self.environ

    def run(
        self, *words: str, stdin: str = "", seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """A verb of the command line, to its end."""
        return prepared.run(
            self.command(*words),
            folder=self.folder,
            environ=self.env(),
            given=stdin,
            seconds=seconds,
            new=self.measured,
        )

    def create_admin(self, email: str = EMAIL, password: str = PASSWORD) -> None:
        """An admin, made as an operator makes one."""
        done = self.run("users", "create-admin", "--email", email, stdin=f"{password}\n")
        assert done.returncode == 0, done.stderr

    def start(self, *words: str) -> Server:
        """``serve`` on a free port; the caller waits for it and ends it."""
        number = next(_numbers)
        log = self.folder / f"serve-{number}.log"
        with log.open("wb") as out:
            process = prepared.start(
                self.command("serve", "--port", "0", *words),
                folder=self.folder,
                environ=self.env(),
                output=out,
                new=self.measured,
            )
        return Server(process, log)

    @contextmanager
    def serving(self, *words: str) -> Iterator[Server]:
        """A server that is ready; ended at the end, with exit code 0."""
        server = self.start(*words)
        try:
            server.wait_ready()
            yield server
            code = server.stop()
            assert code == 0, f"ended with {code}\n{server.log}"
        finally:
            server.kill()

    @contextmanager
    def serving_many(self, count: int) -> Iterator[list[Server]]:
        """Servers that were started at the same moment and are all ready."""
        with ExitStack() as stack:
            servers = [self.start() for _ in range(count)]
            for server in servers:
                stack.callback(server.kill)
            for server in servers:
                server.wait_ready()
            yield servers
            assert [server.stop() for server in servers] == [0] * count


def _table(item: tuple[str, Mapping[str, Any]]) -> str:
    name, values = item
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]  # TOML enough
    return "\n".join([f"[{name}]", *lines, "", ""])


class Server:
    """A process that serves."""

    def __init__(self, process: Process, log: Path) -> None:
        self.process = process
        self._log = log
        self._url = ""

    @property
    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text(errors="replace")

    @property
    def url(self) -> str:
        """Where it listens; known once it has said so."""
        if not self._url:
            said = [line for line in self.log.splitlines() if "listening" in line]
            found = re.search(r"http://[\d.]+:\d+", said[0]) if said else None
            self._url = found.group() if found else ""
        return self._url

    @property
    def port(self) -> int:
        """The port of `url`."""
        return int(self.url.rpartition(":")[2])

    def wait_ready(self, *, seconds: float = READY_SECONDS) -> None:
        """Until /readyz says 200."""
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            assert self.process.poll() is None, f"ended with {self.process.poll()}\n{self.log}"
            assert time.monotonic() < deadline, f"not ready after {seconds} s\n{self.log}"
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Whether it says that it is."""
        if not self.url:
            return False
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def stop(self, *, seconds: float = STOP_SECONDS) -> int:
        """SIGTERM; its exit code. Raises TimeoutExpired when it takes longer than `seconds`."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=seconds)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=10)

    def faults(self) -> list[str]:
        """The lines of the log that speak of a fault."""
        faulty = re.compile(r"\[(error|critical)|\"level\": ?\"(error|critical)|Traceback|Error:")
        return [line for line in self.log.splitlines() if faulty.search(line)]

    def client(self, **options: Any) -> httpx2.Client:
        """A client of this server."""
        return httpx2.Client(base_url=self.url, timeout=options.pop("timeout", 30), **options)

    def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """One request on a connection of its own."""
        with self.client() as client:
            return client.request(method, path, **options)

    def login(self, email: str = EMAIL, password: str = PASSWORD) -> Headers:
        """The header that says who calls."""
        form = {"username": email, "password": password}
        answer = self.call("POST", "/v2/auth/login", data=form)
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def register(self, email: str | None = None) -> tuple[int, Headers]:
        """A new user: its id, and the header that says who calls."""
        email = email or f"user{next(_numbers)}@tessera.example"
        body = {"name": "Somebody", "email": email, "password": PASSWORD}
        answer = self.call("POST", "/v2/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"], self.login(email)

    def product(self, admin: Headers, **fields: Any) -> int:
        """A new product's id; 18.00 USD and a million in stock unless said."""
        price = {"amount": "18.00", "currency": "USD"}
        body = {"sku": f"P-{next(_numbers)}", "name": "Chai", "stock": 1_000_000, "price": price}
        answer = self.call("POST", "/v2/products", headers=admin, json={**body, **fields})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])
