"""A real server whose modules change while it serves, and a load that takes note of everything."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.plants import Garden, minimal, with_route
from tests.support.processes import ROOT, Installation, Server

SWAP_SECONDS = 60.0
ENTER, LEAVE = "enter", "leave"

PROBE = minimal(
    "probe",
    """
    import asyncio, contextlib, gc, itertools, os, time
    from sqlalchemy import text

    numbers = itertools.count(1)
    process = {"lag": 0.0, "newest": 0}  # outlives the generations

    class Life:
        '''One generation: its number, and whether it was ended.'''
        def __init__(self, context):
            self.number = next(numbers)
            self.left = False

    def say(word, life):
        with open(os.environ["PROBE_DIARY"], "a") as diary:
            diary.write(f"{word} {os.getpid()} {life.number}\\n")

    async def watch():
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.005)
            process["lag"] = max(process["lag"], time.perf_counter() - began - 0.005)

    @hookimpl
    def services(): return {Life: Life}

    @hookimpl
    @contextlib.asynccontextmanager
    async def lifespan(context):
        life = context.service(Life)
        say("enter", life)
        process["newest"] = life.number
        watching = asyncio.create_task(watch())
        yield
        watching.cancel()
        life.left = True
        say("leave", life)

    TheLife = Annotated[Life, service(Life)]

    def make():
        router = APIRouter(prefix="/probe", dependencies=[public])

        @router.get("/fast")
        async def fast(life: TheLife) -> int:
            return life.number

        @router.get("/slow")
        async def slow(life: TheLife) -> dict[str, int | bool]:
            await asyncio.sleep(1)
            return {"life": life.number, "left": life.left, "newest": process["newest"]}

        @router.get("/rows")
        async def rows(session: ReadSession) -> int:
            return (await session.execute(text("SELECT 1"))).scalar_one()

        @router.get("/lag")
        async def most() -> float:
            found, process["lag"] = process["lag"], 0.0
            return found

        @router.get("/collect")
        async def collect() -> int:
            return gc.collect()

        return router

    @hookimpl
    def routers(version): return [make()]
    """,
)


class SwappingServer:
    """A server, and the settings file that it reads again when it is told to."""

    def __init__(self, installation: PlantedInstallation, server: Server) -> None:
        self.installation = installation
        self.server = server

    @property
    def pid(self) -> int:
        """Of the one process that serves."""
        return self.server.process.pid

    async def hang_up(self, said: str) -> str:
        """SIGHUP, and wait until the log says something again; gives what it said meanwhile."""
        before = self.server.log
        self.server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + SWAP_SECONDS
        while said not in (news := self.server.log[len(before) :]):
            assert time.monotonic() < deadline, f"no {said!r} in {SWAP_SECONDS:.0f} s:\n{news}"
            assert self.server.process.poll() is None, self.server.log
            await asyncio.sleep(0.02)
        return news

    async def swap(self, *modules: str) -> None:
        """Serve exactly these planted modules from now on."""
        enable(self.installation, *modules)
        await self.hang_up("ready ")

    def get(self, path: str) -> Any:
        """The JSON at an address of version 1."""
        answer = self.server.call("GET", f"/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def lives(self) -> tuple[list[int], list[int]]:
        """The server's generations whose lifespan was entered, and those whose was left."""
        found: dict[str, list[int]] = {ENTER: [], LEAVE: []}
        for line in self.installation.diary.read_text().splitlines():
            word, process, number = line.split()
            if int(process) == self.pid:  # another one tried the modules before
                found[word].append(int(number))
        return found[ENTER], found[LEAVE]

    async def alone(self) -> None:
        """Wait until only the current generation is left."""
        deadline = time.monotonic() + SWAP_SECONDS
        while True:
            entered, left = self.lives()
            if len(entered) - len(left) == 1:
                return
            assert time.monotonic() < deadline, f"entered {entered}, left {left}"
            await asyncio.sleep(0.05)

    def open_files(self) -> int:
        """How many descriptors the process holds."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory_kib(self) -> int:
        """What it holds for itself, after a collection.

        Anonymous memory, of which the proportional set size is made, but for the libraries: a share
        of those, which grows when some other process that uses them ends.
        """
        self.get("/probe/collect")
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        found = re.findall(r"^(?:Anonymous|Swap):\s+(\d+)", rollup, re.MULTILINE)
        return sum(map(int, found))


def enable(installation: PlantedInstallation, *modules: str) -> None:
    """Write a settings.toml that enables exactly these modules."""
    text = [installation.head]
    text += [f"[modules.{name}]\nenabled = true\n" for name in modules]
    (installation.folder / "settings.toml").write_text("".join(text))


class PlantedInstallation(Installation):
    """A deployment of planted modules alone."""

    def __init__(self, folder: Path, database_url: str, garden: Garden) -> None:
        super().__init__(folder, database_url)
        self.diary = folder / "diary"
        self.diary.touch()
        search = os.pathsep.join([str(ROOT), str(garden.folder)])
        self.environ = {"PYTHONPATH": search, "PROBE_DIARY": str(self.diary)}
        self.head = f"[server]\naccess_log = false\n[database]\nurl = {json.dumps(database_url)}\n"


def planted(folder: Path, database_url: str, garden: Garden) -> PlantedInstallation:
    """The probe and a guest, in a deployment of their own that enables the probe."""
    garden.plant("probe", PROBE)
    garden.plant("guest", with_route("guest"))
    installation = PlantedInstallation(folder, database_url, garden)
    enable(installation, "probe")
    return installation


@dataclass
class Load:
    """Connections that ask for one path each, again and again, and never let go."""

    port: int
    answers: dict[str, list[Any]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    _ending: bool = False

    async def ask(self, path: str) -> None:
        """One connection, until the load ends; whatever is not a 200 is a fault."""
        kept = self.answers.setdefault(path, [])
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            while not self._ending:
                writer.write(f"GET /v1{path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
                status, body = await read_answer(reader)
                if status == 200:
                    kept.append(json.loads(body))
                else:
                    self.faults.append(f"{path}: {status} {body[:200]!r}")
            writer.close()
        except (OSError, EOFError) as error:
            self.faults.append(f"{path}: {error!r}")

    def end(self) -> None:
        """Ask no more; what was asked is still waited for."""
        self._ending = True


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of an answer with a Content-Length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"(?i)^content-length: (\d+)", head, re.MULTILINE)
    assert length is not None, head
    return int(head.split(" ", 2)[1]), await reader.readexactly(int(length.group(1)))


@asynccontextmanager
async def load(port: int, connections: Mapping[str, int]) -> AsyncIterator[Load]:
    """So many connections a path, as long as the block lasts and until each has its answer."""
    under_way = Load(port)
    async with asyncio.TaskGroup() as group:
        for path, count in connections.items():
            for _ in range(count):
                group.create_task(under_way.ask(path))
        try:
            yield under_way
        finally:
            under_way.end()
