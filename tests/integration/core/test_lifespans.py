"""A module's lifespan, and the tasks that it starts, harm nobody else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from core import lives
from tests.support.apps import serving
from tests.support.plants import Garden, minimal, with_route

LIFE = """
import asyncio, sys
from contextlib import asynccontextmanager

async def work():
{work}

@asynccontextmanager
async def life():
{life}

@hookimpl
def lifespan(context): return life()
"""


def living(module_id: str, life: str, work: str = "pass", *, manifest: str = "") -> str:
    """A module whose lifespan is `life`; it may start `work()`."""
    body = LIFE.format(life=_indented(life), work=_indented(work))
    return minimal(module_id, body, manifest=manifest)


def _indented(code: str) -> str:
    return "\n".join(f"    {line}" for line in code.splitlines())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lifespans have half a second, and a tenth to take note of a cancellation."""
    monkeypatch.setattr(lives, "ENTER_SECONDS", 0.5)
    monkeypatch.setattr(lives, "LINGER_SECONDS", 0.1)


def test_a_task_that_exits_ends_nothing_but_itself(garden: Garden, sqlite_url: str) -> None:
    """A task of a module that raises SystemExit is ended and told of; the host serves on."""
    life = "task = asyncio.create_task(work())\nyield\nassert task.done()"
    garden.plant("bad", living("bad", life, "sys.exit(3)"))
    garden.plant("good", with_route("good"))
    with serving(sqlite_url, "bad", "good") as client:
        assert client.get("/v1/good").status_code == 200
        assert client.get("/readyz").json()["modules"]["bad"] == {"state": "enabled"}


def test_a_task_group_that_breaks_ends_its_own_module_only(
    garden: Garden, sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Tasks that fail while a lifespan serves end that lifespan, not those of other modules."""
    group = "async with asyncio.TaskGroup() as group:\n    group.create_task(work())\n    yield"
    garden.plant("bad", living("bad", group, "await asyncio.sleep(0.05)\nraise OSError('gone')"))
    left = tmp_path / "left"
    garden.plant("good", living("good", f"yield\nopen({str(left)!r}, 'w').close()"))
    with serving(sqlite_url, "bad", "good") as client:
        time.sleep(0.3)
        assert client.get("/readyz").status_code == 200
        assert not left.exists()
        assert "lifespan ended while its module serves" in caplog.text
    assert left.exists()


PANIC = "raise type('Panic', (BaseException,), {})('no Exception')"


@pytest.mark.parametrize("life", [f"{PANIC}\nyield", f"await work()\n{PANIC}\nyield"])
def test_what_is_no_exception_ends_its_own_start_only(
    garden: Garden, sqlite_url: str, life: str
) -> None:
    """A lifespan that raises a BaseException of its own, as a panic of an extension module does,
    fails its module by name; nobody else, and not the host."""
    garden.plant("good", with_route("good"))
    garden.plant("bad", living("bad", life))
    with serving(sqlite_url, "good", "bad") as client:
        modules = client.get("/readyz").json()["modules"]
        assert "it could not start: Panic: no Exception" in modules["bad"]["reason"]
        assert modules["good"] == {"state": "enabled"}
        assert client.get("/v1/good").status_code == 200


def test_what_is_no_exception_at_the_end_keeps_nobody_from_ending(
    garden: Garden, sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that raises it while it ends is told of, and what it requires ends after it."""
    left = tmp_path / "left"
    garden.plant("good", living("good", f"yield\nopen({str(left)!r}, 'w').close()"))
    garden.plant("bad", living("bad", f"yield\n{PANIC}", manifest="requires=('good',)"))
    with serving(sqlite_url, "good", "bad") as client:
        assert client.get("/readyz").status_code == 200
    assert left.exists()
    assert "lifespan failed while ending" in caplog.text


def test_a_lifespan_that_swallows_its_cancellation_is_left_behind(
    garden: Garden, sqlite_url: str, quick: None
) -> None:
    """The time limit holds for a lifespan that takes no note of being cancelled."""
    deaf = "while True:\n    try: await asyncio.sleep(60)\n    except asyncio.CancelledError: pass"
    garden.plant("bad", living("bad", f"{deaf}\nyield"))
    garden.plant("sticky", living("sticky", f"yield\n{deaf}"))
    garden.plant("good", with_route("good"))
    began = time.monotonic()
    with serving(sqlite_url, "bad", "sticky", "good") as client:
        bad = client.get("/readyz").json()["modules"]["bad"]
        assert bad["reason"] == "its lifespan did not start within 0.5 s"
        assert bad["remedy"] == "let it start slow work in a task of its own"
        assert client.get("/v1/good").status_code == 200
    assert time.monotonic() - began < 15


def test_several_that_hang_cost_the_time_of_one(
    garden: Garden, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lifespans that hang are waited for side by side, and so are failed in one go."""
    monkeypatch.setattr(lives, "ENTER_SECONDS", 2.0)
    names = [f"slow{number}" for number in range(6)]
    for name in names:
        garden.plant(name, living(name, "await asyncio.sleep(60)\nyield"))
    garden.plant("good", with_route("good"))
    began = time.monotonic()
    with serving(sqlite_url, *names, "good") as client:
        took = time.monotonic() - began
        modules = client.get("/readyz").json()["modules"]
        assert {modules[name]["state"] for name in names} == {"failed"}
        assert client.get("/v1/good").status_code == 200
    assert took < 6


def test_what_begins_later_sees_what_began_before(
    garden: Garden, sqlite_url: str, tmp_path: Path
) -> None:
    """A module begins after all that it requires have begun, however long they take."""
    diary = tmp_path / "diary"
    note = f"with open({str(diary)!r}, 'a') as diary: diary.write"
    slow = f"await asyncio.sleep(0.3)\n{note}('+slow ')\nyield\n{note}('-slow ')"
    garden.plant("slow", living("slow", slow))
    quick = f"{note}('+late ')\nyield\nawait asyncio.sleep(0.2)\n{note}('-late ')"
    garden.plant("late", living("late", quick, manifest="requires=('slow',)"))
    with serving(sqlite_url, "late", "slow"):
        assert diary.read_text() == "+slow +late "
    assert diary.read_text() == "+slow +late -late -slow "
