"""Generations swapped in a real server under load: nobody notices but those who should.

TESSERA_SOAK=1 does 50 swaps under load and 100 for the memory; without it a fifth of that.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median

import pytest

from core.settings import DatabaseSettings
from tests.support import soak
from tests.support.databases import database_url
from tests.support.plants import Garden, minimal, with_route
from tests.support.rows import query
from tests.support.swapping import PlantedInstallation, SwappingServer, enable, load, planted

__all__ = ["database_url"]

SWAPS = soak.tier(10, 50)
POOL = DatabaseSettings.model_fields["pool_size"].default
MEMORY_SWAPS, WARM_UP = soak.tier((30, 10), (100, 20))
FAULTS = re.compile(r"Socket errors.*|Non-2xx.*")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(soak.tier(300, 1200))]


@pytest.fixture
def installation(tmp_path: Path, sqlite_url: str, garden: Garden) -> PlantedInstallation:
    """Planted modules on SQLite."""
    return planted(tmp_path / "deployment", sqlite_url, garden)


@contextmanager
def serving(installation: PlantedInstallation) -> Iterator[SwappingServer]:
    """A server that is ready; it ends with exit code 0 and every lifespan left."""
    with installation.serving() as server:
        running = SwappingServer(installation, server)
        yield running
    entered, left = running.lives()
    assert sorted(left) == entered


@asynccontextmanager
async def wrk(running: SwappingServer, path: str) -> AsyncIterator[None]:
    """wrk on an address meanwhile; it must see no error either. CI and the soak have one."""
    program = shutil.which("wrk")
    if program is None:
        assert not soak.SOAK, "there is no wrk: apt-get install wrk"
        yield
        return
    url = f"{running.server.url}/v1{path}"
    command = [program, "-t1", "-c8", "-d1200s", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield
        finally:
            process.send_signal(2)  # it ends its connections and tells what it saw
            said, _ = process.communicate(timeout=60)
    assert "requests in" in said, said
    assert FAULTS.findall(said) == []
    soak.note("wrk", path=path, requests=int(re.findall(r"(\d+) requests in", said)[0]), faults=0)


async def test_nobody_is_hurt_by_swaps(tmp_path: Path, database_url: str, garden: Garden) -> None:
    """Swap after swap no connection breaks and no status is wrong, and the pools stay as they are.

    Slow requests are answered by the generation that began them, which lives until then.
    """
    installation = planted(tmp_path / "deployment", database_url, garden)
    with serving(installation) as running:
        paths = {"/probe/fast": 4, "/probe/rows": 12, "/probe/slow": 3}
        async with load(running.server.port, {"/probe/rows": 12}) as first:
            await running.swap("probe")
        # The pool may not have been used to its full size yet: its connections are counted apart.
        files = running.open_files() - await backends_of(database_url)
        async with wrk(running, "/probe/fast"), load(running.server.port, paths) as asked:
            for number in range(SWAPS):
                await running.swap("probe", *["guest"] * (number % 2))
                await asyncio.sleep(0.2)  # some requests for every generation
        await running.alone()
        assert (first.faults, asked.faults) == ([], [])
        lives = running.lives()[0]
        assert len(lives) == SWAPS + 2
        assert running.get("/probe/fast") == lives[-1]
        slow = asked.answers["/probe/slow"]
        assert not any(answer["left"] for answer in slow)
        assert any(answer["newest"] > answer["life"] for answer in slow)
        assert set(asked.answers["/probe/fast"]) == set(lives[1:])
        backends = await backends_of(database_url)
        assert backends <= POOL
        assert running.open_files() - backends <= files + 1
        assert running.server.faults() == []
        requests = {path: len(answers) for path, answers in asked.answers.items()}
        database = database_url.partition(":")[0]
        soak.note("swaps", swaps=SWAPS, database=database, requests=requests, faults=0)


async def backends_of(database_url: str) -> int:
    """How many connections a PostgreSQL server has for that database; 0 for SQLite."""
    if database_url.startswith("sqlite"):
        return 0
    found = await asyncio.to_thread(
        query,
        database_url,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = 'tessera'",
    )
    return int(found[0][0])


async def test_memory_stays(installation: PlantedInstallation) -> None:
    """After many swaps a process is at most 5% larger than after the first few."""
    with serving(installation) as running:
        for _ in range(WARM_UP):
            await running.swap("probe", "guest")
        await running.alone()
        before = running.memory_kib()
        for _ in range(MEMORY_SWAPS):
            await running.swap("probe", "guest")
        await running.alone()
        after = running.memory_kib()
        soak.note("memory", swaps=MEMORY_SWAPS, before_kib=before, after_kib=after)
        assert after <= before * 1.05


@pytest.mark.alone
async def test_the_loop_goes_on(installation: PlantedInstallation, garden: Garden) -> None:
    """A swap of 20 modules of 10 routes does not stop the loop for long.

    bench/swap.py has the figure, 100 ms; here the machine may be shared with other tests.
    """
    for number in range(20):
        garden.plant(f"part{number}", minimal(f"part{number}", TEN_ROUTES.format(number=number)))
    parts = [f"part{number}" for number in range(20)]
    with serving(installation) as running:
        await running.swap("probe", *parts)
        async with load(running.server.port, {"/part19/9": 4}) as asked:
            running.get("/probe/lag")
            await asyncio.sleep(2)
            rested, stalls = running.get("/probe/lag"), []
            for _ in range(5):
                await running.swap("probe", *parts)
                await running.alone()
                stalls.append(running.get("/probe/lag"))
        assert asked.faults == []
        milliseconds = [round(it * 1000) for it in stalls]
        soak.note("stalls", milliseconds=milliseconds, at_rest=round(rested * 1000))
        assert median(stalls) < 0.3 + 2 * rested


TEN_ROUTES = """
def make():
    router = APIRouter(prefix="/part{number}", dependencies=[public])
    for number in range(10):
        async def read(at: int = 0) -> dict[str, int]:
            return dict(at=at)
        router.get(f"/{{number}}", name=f"read{{number}}")(read)
    return router

@hookimpl
def routers(version): return [make()]
"""


async def test_modules_come_and_go(installation: PlantedInstallation) -> None:
    """A module that is added answers and is in the schema; one that was removed is in neither."""
    with serving(installation) as running:
        here = running.server

        def guest() -> tuple[int, bool]:
            paths = here.call("GET", "/v1/openapi.json").json()["paths"]
            return here.call("GET", "/v1/guest").status_code, "/guest" in paths

        assert guest() == (404, False)
        await running.swap("probe", "guest")
        assert guest() == (200, True)
        await running.swap("probe")
        assert guest() == (404, False)
        missing = here.call("GET", "/v1/guest")
        assert missing.headers["content-type"] == "application/problem+json"


BROKEN = {
    "not TOML": ("[modules.probe\n", "settings.toml"),
    "an unknown key": ("[server]\nprot = 1\n", "server.prot"),
    "a required module that is missing": (
        "[modules.nowhere]\nenabled = true\nrequired = true\n",
        "nowhere",
    ),
    "nothing": ("", "settings.toml holds no table any more"),
    "comments alone": ("# [modules.probe]\n# enabled = true\n", "disable modules one by one"),
    "an unknown key of a module that serves": (
        "[modules.guest]\nenabled = true\n[modules.probe]\nenabled = true\nprot = 1\n",
        "modules.probe.prot",
    ),
}
HOLDER = """
import contextlib, pathlib

@contextlib.asynccontextmanager
async def alone():
    lock = pathlib.Path("held")
    lock.touch(exist_ok=False)
    yield
    lock.unlink()

@hookimpl
def lifespan(context):
    return alone()
"""


async def test_bad_settings_change_nothing(installation: PlantedInstallation) -> None:
    """A settings file that is wrong leaves all as it was, and the log says what is wrong."""
    with serving(installation) as running:
        await running.swap("probe", "guest")
        for text, named in BROKEN.values():
            (installation.folder / "settings.toml").write_text(text)
            said = await running.hang_up("settings not taken over")
            assert named in said
            assert running.get("/probe/fast") == 2
            assert running.get("/guest") == {"module": "guest"}
        await running.swap("probe")
        assert running.get("/probe/fast") == 3


async def test_every_module_switched_off_is_told(installation: PlantedInstallation) -> None:
    """Who disables one module after another is obeyed to the last, and the log warns of each."""
    with serving(installation) as running:
        await running.swap("probe", "guest")
        enable(installation, "guest")
        assert re.search(r"warning.*no longer.*gone=\['probe'\]", await running.hang_up("ready "))
        off = "[modules.guest]\nenabled = false\n"
        (installation.folder / "settings.toml").write_text(installation.head + off)
        assert re.search(r"warning.*no longer.*gone=\['guest'\]", await running.hang_up("ready "))
        assert running.server.call("GET", "/v1/guest").status_code == 404


async def test_a_file_that_never_said_anything(
    installation: PlantedInstallation, sqlite_url: str
) -> None:
    """Where variables alone decide, an empty file is none that lost its tables."""
    (installation.folder / "settings.toml").write_text("")
    installation.environ |= {
        "TESSERA_DATABASE__URL": sqlite_url,
        "TESSERA_MODULES__PROBE__ENABLED": "true",
    }
    with serving(installation) as running:
        await running.hang_up("ready ")
        assert running.get("/probe/fast") == 2


async def test_bad_settings_change_nothing_for_workers(installation: PlantedInstallation) -> None:
    """The parent of several workers starts none anew for a file that is wrong or says nothing."""
    started, ended = "Application startup complete", "Finished server process"
    with installation.serving("--workers", "2") as server:

        async def said(words: str, times: int) -> None:
            while server.log.count(words) < times:
                await asyncio.sleep(0.05)

        running = SwappingServer(installation, server)
        await said(started, 2)
        for name in ("nothing", "not TOML"):
            text, named = BROKEN[name]
            (installation.folder / "settings.toml").write_text(text)
            assert named in await running.hang_up("settings not taken over")
        assert (server.log.count(started), server.log.count(ended)) == (2, 0)
        assert running.get("/probe/fast") == 1
        enable(installation, "probe", "guest")
        await running.hang_up(started)
        await said(ended, 2)
        assert running.get("/guest") == {"module": "guest"}


async def test_what_serves_and_could_not_start_again_goes_on(
    installation: PlantedInstallation, garden: Garden
) -> None:
    """When the lifespan of a module that serves cannot be entered again, the swap is refused with
    its reason; to disable it, and so what requires it, is no failure."""
    garden.plant("holder", minimal("holder", HOLDER))
    heir = with_route("heir").replace('"1.0")', '"1.0", requires=("holder",))')
    garden.plant("heir", heir)
    enable(installation, "probe", "holder", "heir")
    with serving(installation) as running:
        said = await running.hang_up("settings not taken over")
        assert "holder: " in said
        assert "FileExistsError" in said
        assert running.get("/probe/fast") == 1
        assert running.get("/heir") == {"module": "heir"}
        listed = json.loads(installation.run("modules", "list", "--json").stdout)
        assert {it["state"] for it in listed if it["id"] in ("holder", "heir")} == {"enabled"}
        await running.swap("probe", "heir")
        assert running.get("/probe/fast") > 1
        states = running.server.call("GET", "/readyz").json()["modules"]
        assert states["heir"]["state"] == "failed"


async def test_a_module_that_cannot_start_stays_out(
    installation: PlantedInstallation, garden: Garden
) -> None:
    """A module whose lifespan fails after a swap is left out; the others are served anew."""
    garden.plant("broken", minimal("broken", "@hookimpl\ndef lifespan(context): raise OSError(7)"))
    with serving(installation) as running:
        await running.swap("probe", "broken")
        assert running.get("/probe/fast") in running.lives()[0][1:]
        assert re.search(r"module failed.*broken", running.server.log)
        ready = running.server.call("GET", "/readyz")
        assert ready.status_code == 200
        broken = ready.json()["modules"]["broken"]
        assert broken["state"] == "failed"
        assert "OSError: 7" in broken["reason"]
        assert broken["remedy"]


async def test_sections_of_the_process_wait_for_its_next_start(
    installation: PlantedInstallation,
) -> None:
    """What a swap cannot change (here the port) is kept, and the log says so."""
    with serving(installation) as running:
        installation.head = installation.head.replace("[server]\n", "[server]\nport = 1\n")
        enable(installation, "probe", "guest")
        said = await running.hang_up("ready ")
        assert re.search(r"takes effect at the next start.*server", said)
        assert running.get("/guest") == {"module": "guest"}
