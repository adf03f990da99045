"""Modules that no ``except`` can stop: they end or hang a child, not the host."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import signal
import subprocess
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from core import preflight
from core.discovery import find
from core.settings import Settings
from tests.support import apps
from tests.support.apps import serving
from tests.support.faults import VALIDATING
from tests.support.plants import Garden, minimal, with_route
from tests.support.tried import Inspect, by_a_copy, by_a_new_interpreter


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


SOON = {"preflight_seconds": 2.0}


def settings_for(database_url: str, *modules: str, **sections: Any) -> Settings:
    """Settings that enable `modules`, under which a step may take two seconds."""
    return apps.settings_for(database_url, *modules, app=SOON, **sections)


@pytest.fixture(params=[by_a_new_interpreter, by_a_copy])
def either(request: pytest.FixtureRequest) -> Inspect:
    """The preflight by either way to make the child; the rest of the tests take the first."""
    way: Inspect = request.param
    return way


LIFE = """
from contextlib import asynccontextmanager

@asynccontextmanager
async def life():
{begin}
    yield
{end}

@hookimpl
def lifespan(context): return life()
"""


def lives(begin: str = "    pass", end: str = "    pass") -> str:
    """A module with a lifespan."""
    return minimal("bad", LIFE.format(begin=begin, end=end))


def test_a_link_to_nowhere_keeps_nobody_from_starting(
    garden: Garden, tmp_path: Path, sqlite_url: str
) -> None:
    """An editor's lock beside a module's files, which leads nowhere, is passed by."""
    garden.plant("good", with_route("good"))
    (garden.folder / "planted_good" / ".#module.py").symlink_to("me@here.1234:5678")
    settings = settings_for(sqlite_url, "good")
    assert by_a_new_interpreter(settings) == {}
    assert preflight.fingerprint(find()["good"], settings)


def test_the_only_file_of_a_module_counts(garden: Garden, sqlite_url: str) -> None:
    """A module that is one file without a package is another one once that file has changed."""
    garden.plant("good", with_route("good"))
    settings = settings_for(sqlite_url, "good")
    file = garden.folder / "alone.py"
    file.write_text("it = 1")
    marks = set()
    for text in ("it = 1", "it = 2 + 2"):
        file.write_text(text)
        point = importlib.metadata.EntryPoint("good", "alone", "tessera.modules")
        found = dataclasses.replace(find()["good"], entry_points=(point,))
        marks.add(preflight.fingerprint(found, settings))
    assert len(marks - {None}) == 2


SERVICE = """
class It: pass

def factory(context): {work}

@hookimpl
def services(): return {{It: factory}}
"""
MIGRATES = minimal("bad", "@hookimpl\ndef migrations(): return 'planted_bad:migrations'")
EXIT = "import os; os._exit(7)"
FOREVER = "import time; time.sleep(1e9)"
LOOP = "    while True: pass"

DEADLY = {
    "os._exit at import": (EXIT, "its import ended the whole process (exit code 7)"),
    "KeyboardInterrupt at import": (
        "raise KeyboardInterrupt",
        "its import raised KeyboardInterrupt",
    ),
    "KeyboardInterrupt in a lifespan": (
        lives("    raise KeyboardInterrupt"),
        "its lifespan raised KeyboardInterrupt",
    ),
    "a crash in C": (
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "its import ended the whole process (signal 11)",
    ),
    "os._exit in a hook": (
        minimal("bad", "@hookimpl\ndef routers(version):\n    import os; os._exit(0)"),
        "its hook routers() ended the whole process (exit code 0)",
    ),
    "a hook that never returns": (
        minimal("bad", f"@hookimpl\ndef tables():\n{LOOP}"),
        "its hook tables() did not return within 2 s",
    ),
    "a hook that yields and never comes to it": (
        minimal("bad", f"@hookimpl\ndef permissions():\n    {FOREVER}\n    yield"),
        "its hook permissions() did not return within 2 s",
    ),
    "extension points that never come": (
        minimal("bad", f"@hookimpl\ndef hookspecs():\n    {FOREVER}"),
        "its hook hookspecs() did not return within 2 s",
    ),
    "a settings class whose validator hangs": (
        minimal("bad", VALIDATING.format(work=FOREVER)),
        "what it declares did not return within 2 s",
    ),
    "a service that is never made": (
        minimal("bad", SERVICE.format(work=FOREVER)),
        "the factory of a service did not return within 2 s",
    ),
    "authenticators that exit": (
        minimal("bad", f"@hookimpl\ndef authenticators(context):\n    {EXIT}"),
        "its hook authenticators() ended the whole process (exit code 7)",
    ),
    "readiness that hangs": (
        minimal("bad", f"@hookimpl\ndef readiness(context):\n    {FOREVER}"),
        "its hook readiness() did not return within 2 s",
    ),
    "a lifespan that blocks the loop": (
        lives(LOOP),
        "its lifespan did not return within 2 s",
    ),
    "a lifespan that exits": (
        lives(f"    {EXIT}"),
        "its lifespan ended the whole process (exit code 7)",
    ),
    "a lifespan that hangs when it is left": (
        lives(end=f"    {FOREVER}"),
        "its lifespan did not return within 2 s",
    ),
    "a task that blocks the loop": (
        lives(
            "    import asyncio\n    async def work():\n        await asyncio.sleep(0.1)\n"
            f"        {FOREVER}\n    task = asyncio.create_task(work())"
        ),
        "a task that it started did not return within 2 s",
    ),
    "a migration that hangs": (MIGRATES, "its migration did not return within 2 s"),
}


def test_deadly_modules_are_found_out(garden: Garden, tmp_path: Path, either: Inspect) -> None:
    """A module that exits, crashes or hangs at any step of a start is named, with that step."""
    names = {f"bad{number}": fault for number, fault in enumerate(DEADLY)}
    for name, fault in names.items():
        plant(garden, name, DEADLY[fault][0])
    garden.plant("good", with_route("good"))
    settings = settings_for("sqlite+aiosqlite:///unused.db", *names, "good")
    failures = either(settings)
    found = {fault: failures[name].reason for name, fault in names.items() if name in failures}
    assert found == {fault: reason for fault, (_, reason) in DEADLY.items()}
    assert "good" not in failures
    assert failures["bad0"].remedy == "mend bad0, or disable it"


def test_a_relative_search_path_hides_nothing(
    garden: Garden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn puts the working folder first as an empty name, and a rehearsal has another one: what
    a module requires is found all the same, and so is that it hangs."""
    garden.plant("other", minimal("other"))
    hangs = LIFE.format(begin=f"    {FOREVER}", end="    pass")
    garden.plant("bad", minimal("bad", hangs, manifest="requires=('other',)"))
    settings = settings_for("sqlite+aiosqlite:///unused.db", "other", "bad")
    monkeypatch.chdir(garden.folder)
    failures = by_a_copy(settings, before=[""])
    assert failures["bad"].reason == "its lifespan did not return within 2 s"


def plant(garden: Garden, name: str, source: str) -> None:
    """A bad module of that name, with a migration that hangs for one that has migrations."""
    source = source.replace('Manifest("bad"', f'Manifest("{name}"')
    package = garden.plant(name, source.replace("planted_bad", f"planted_{name}"))
    revision = """
    import time
    revision, down_revision = "0001", None
    def upgrade(): time.sleep(1e9)
    def downgrade(): pass
    """
    garden.file(package, "migrations/0001_first.py", textwrap.dedent(revision))


def test_the_host_serves_without_those_that_were_found_out(garden: Garden, sqlite_url: str) -> None:
    """Several deadly modules cost the time of one; each is out with its reason, the rest serve."""
    faults = ("a hook that never returns", "a service that is never made", "a lifespan that exits")
    names = [f"bad{number}" for number, _ in enumerate(faults)]
    for name, fault in zip(names, faults, strict=True):
        plant(garden, name, DEADLY[fault][0])
    garden.plant("good", with_route("good"))
    garden.plant("needy", minimal("needy", manifest="requires=('bad0',)"))
    with serving(sqlite_url, *names, "needy", "good", app={"preflight": True, **SOON}) as client:
        assert client.get("/v1/good").status_code == 200
        modules = client.get("/readyz").json()["modules"]
        assert [modules[name]["reason"] for name in names] == [DEADLY[f][1] for f in faults]
        assert "it requires 'bad0', which failed" in modules["needy"]["reason"]


def test_an_honest_exception_is_left_to_the_real_start(garden: Garden, tmp_path: Path) -> None:
    """What only raises, or waits without blocking, passes the rehearsal."""
    garden.plant("bad", lives("    raise OSError('no bank')"))
    garden.plant("wrong", "import no_such_package")
    slow = "    import asyncio; await asyncio.sleep(60)"
    garden.plant("slow", lives(slow).replace('Manifest("bad"', 'Manifest("slow"'))
    settings = settings_for("sqlite+aiosqlite:///unused.db", "bad", "wrong", "slow")
    assert by_a_new_interpreter(settings) == {}


def test_a_rehearsal_touches_nothing_of_the_deployment(
    garden: Garden, tmp_path: Path, either: Inspect
) -> None:
    """Tables, files and servers of the deployment are not what a rehearsal works with."""
    seen = tmp_path / "seen"
    begin = f"""
    import os
    open("mine", "w").close()
    with open({str(seen)!r}, "w") as out:
        print(context.app.database.url, context.app.redis.url or "none", os.getcwd(), file=out)
    """
    source = lives(textwrap.indent(textwrap.dedent(begin), "    "))
    garden.plant("bad", source.replace("life()", "life(context)"))
    url = f"sqlite+aiosqlite:///{tmp_path / 'real.db'}"
    settings = settings_for(url, "bad", redis={"url": "redis://127.0.0.1:1/0"})
    assert either(settings) == {}
    database, redis, folder = seen.read_text().split()
    assert "tessera-rehearsal" in database
    assert redis == "none"
    assert not Path(folder).exists()
    assert not (tmp_path / "real.db").exists()
    assert not (tmp_path / "mine").exists()


def test_a_module_that_passed_is_tried_again_only_when_it_changed(
    garden: Garden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is kept while files and settings are the same; a change brings the child back."""
    package = garden.plant("good", with_route("good"))
    settings = settings_for("sqlite+aiosqlite:///unused.db", "good")
    children: list[object] = []
    run = subprocess.run

    def counted(*given: Any, **named: Any) -> Any:
        children.append(given)
        return run(*given, **named)

    monkeypatch.setattr(subprocess, "run", counted)

    assert by_a_new_interpreter(settings) == by_a_new_interpreter(settings) == {}
    assert len(children) == 1
    other = settings_for("sqlite+aiosqlite:///unused.db", modules={"good": {"points": 2}})
    assert by_a_new_interpreter(other) == {}
    assert len(children) == 2
    garden.file(package, "module.py", EXIT)
    for _ in range(2):  # workers and commands that ask at once ask one child
        assert "exit code 7" in by_a_new_interpreter(settings)["good"].reason
    assert len(children) == 3


def test_what_a_module_prints_is_no_step(garden: Garden, tmp_path: Path, either: Inspect) -> None:
    """A module that writes to standard output cannot pass itself off as having passed."""
    garden.plant("bad", "print('\\tdone', flush=True)\nimport os; os._exit(3)")
    settings = settings_for("sqlite+aiosqlite:///unused.db", "bad")
    assert "exit code 3" in either(settings)["bad"].reason


STARTS = """
import multiprocessing, os, time

def start(**options):
    process = multiprocessing.get_context("fork").Process(
        target=time.sleep, args=(1000,), **options
    )
    process.start()
    note(process.pid)

def fork(detached=False):
    pid = os.fork()
    if not pid:
        if detached:
            os.setsid()
        time.sleep(1000)
    note(pid)

def note(pid):
    with open({noted!r}, "a") as out:
        print(pid, file=out)
"""
STARTERS = {
    "lifespan": lives("    start()"),
    "daemon": lives("    start(daemon=True)"),
    "forks": lives("    fork()"),
    "imports": minimal("bad", "start()"),
    "exits": lives(f"    start()\n    {EXIT}"),
    "hangs": lives(f"    start()\n    {FOREVER}"),
}
ENDED = {
    "exits": "its lifespan ended the whole process (exit code 7)",
    "hangs": "its lifespan did not return within 2 s",
}


def plant_starter(garden: Garden, name: str, source: str, noted: Path) -> None:
    """A module that starts processes and notes their ids."""
    source = source.replace('Manifest("bad"', f'Manifest("{name}"')
    garden.plant(name, STARTS.format(noted=str(noted)) + source)


def alive(noted: Path) -> set[int]:
    """Which of the noted processes still run, be it for the moment that their end takes."""
    pids = {int(line) for line in noted.read_text().split()}
    for _ in range(20):
        if not (running := {pid for pid in pids if _runs(pid)}):
            break
        time.sleep(0.05)
    return running


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks into /proc")
def test_what_a_module_starts_neither_delays_nor_outlives_its_trial(
    garden: Garden, tmp_path: Path, either: Inspect
) -> None:
    """Processes that modules start in a trial hold nothing up, and are ended with it."""
    noted = tmp_path / "noted"
    for name, source in STARTERS.items():
        plant_starter(garden, name, source, noted)
    settings = settings_for("sqlite+aiosqlite:///unused.db", *STARTERS)
    began = time.monotonic()
    failures = either(settings)
    assert time.monotonic() - began < 30
    assert {name: failure.reason for name, failure in failures.items()} == ENDED
    assert len(noted.read_text().split()) >= len(STARTERS)
    assert alive(noted) == set()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks into /proc")
def test_one_that_leaves_the_session_holds_nothing_up(garden: Garden, tmp_path: Path) -> None:
    """A process that makes itself independent is out of reach, but nobody waits for it."""
    noted = tmp_path / "noted"
    plant_starter(garden, "bad", lives("    fork(detached=True)"), noted)
    settings = settings_for("sqlite+aiosqlite:///unused.db", "bad")
    began = time.monotonic()
    try:
        assert by_a_new_interpreter(settings) == {}
        assert time.monotonic() - began < 30
    finally:
        for pid in map(int, noted.read_text().split()):
            if _runs(pid):
                os.kill(pid, signal.SIGKILL)
