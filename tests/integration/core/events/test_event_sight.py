"""What can be seen of events: /metrics, /readyz and `events status`, when all is well and not."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from core.app import Tessera
from core.errors import Unavailable
from core.events import lookout
from tests.integration.core.events.conftest import Bells
from tests.integration.core.test_metrics import samples
from tests.support import tower as towers
from tests.support.apps import app_for, settings_for
from tests.support.plants import Garden
from tests.support.processes import Installation

STALLING = {**towers.QUICK, "stall_seconds": 0.5, "backoff_seconds": 60}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits five seconds for the next look."""
    monkeypatch.setattr(lookout, "FRESH_SECONDS", 0.05)


async def get(app: Tessera, path: str) -> httpx2.Response:
    """An answer of the application."""
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
        return await client.get(path)


async def seen(app: Tessera) -> dict[str, float]:
    """The series about events: ``name{group}`` or ``name``."""
    found = samples((await get(app, "/metrics")).text)
    return {
        name + "".join(f"{{{value}}}" for _, value in labels): count
        for (name, labels), count in found.items()
        if name.startswith(("tessera_events", "tessera_outbox"))
    }


async def test_metrics_tell_what_waits_and_what_was_done(bells: Bells) -> None:
    """Published, delivered, failed and dead are counted by group; what waits is read off with its
    age, also what lies behind a dead letter, which is not overdue."""
    bells.goes_wrong(1, ValueError("the ink is dry"))
    await bells.strike(1, 1, 2, 3)
    await bells.dead(1)
    await bells.effects(2)
    found = await seen(bells.app)
    assert found["tessera_events_published_total"] == 4
    assert found["tessera_events_delivered_total{ledger}"] == 2
    assert found["tessera_events_failed_total{ledger}"] == 5
    assert found["tessera_events_dead_total{ledger}"] == 1
    assert found["tessera_outbox_pending"] == 0
    assert found["tessera_events_waiting{ledger}"] == 1
    assert found["tessera_events_dead_letters{ledger}"] == 1
    assert found["tessera_events_oldest_seconds{ledger}"] > 0.1
    assert found["tessera_events_overdue_seconds{ledger}"] == 0


async def test_a_relay_that_stalls_is_measured_where_nobody_subscribes(
    database_url: str, garden: Garden
) -> None:
    """Without any group, as where events only go to a broker, what is to be published is overdue in
    the series that has the groups."""
    tower, _ = towers.plant(garden)
    app = app_for(database_url, "tower", events=towers.QUICK, server={"role": "api"})
    await app.start()
    try:
        assert app.resources is not None
        async with app.resources.database.write() as session:
            await tower.strike(session, 1)
        await asyncio.sleep(0.1)
        found = await seen(app)
        assert found["tessera_outbox_pending"] == 1
        assert found["tessera_events_overdue_seconds{relay}"] > 0.05
        assert [it for it in found if it.endswith("}")] == ["tessera_events_overdue_seconds{relay}"]
    finally:
        await app.stop()


async def test_the_database_is_asked_now_and_then_however_many_ask(
    bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty scrapes and probes at once, of a process that has never looked, and one more soon
    after, are one look at the backlog."""
    from sqlalchemy import event

    monkeypatch.setattr(lookout, "FRESH_SECONDS", 30)
    asked: list[str] = []
    engine = bells.database.reader.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *it: asked.append(it[2]))
    await asyncio.gather(*(get(bells.app, path) for path in ["/metrics", "/readyz"] * 25))
    await get(bells.app, "/metrics")
    assert len([it for it in asked if "GROUP BY core_groups.name" in it]) == 1


async def test_nothing_is_told_of_a_database_that_is_away(bells: Bells) -> None:
    """Without the database the page has the process's own counters, and no figure that is old."""
    await bells.strike(1)
    await bells.effects(1)
    assert "tessera_outbox_pending" in await seen(bells.app)
    async with bells.database.write() as session:
        from sqlalchemy import text

        await session.exec(text("ALTER TABLE core_groups RENAME TO core_elsewhere"))
    try:
        await asyncio.sleep(0.1)
        found = await seen(bells.app)
        assert "tessera_outbox_pending" not in found
        assert found["tessera_events_delivered_total{ledger}"] == 1
        ready = await get(bells.app, "/readyz")
        assert ready.json()["events"]["status"] == "unknown"
    finally:
        async with bells.database.write() as session:
            await session.exec(text("ALTER TABLE core_elsewhere RENAME TO core_groups"))


async def stalled(app: Tessera, *names: str) -> dict[str, Any]:
    """What /readyz says of events once exactly these stall; the process stays ready."""
    async with asyncio.timeout(20):
        while True:
            answer = await get(app, "/readyz")
            assert (answer.status_code, answer.json()["status"]) == (200, "ready")
            told: dict[str, Any] = answer.json()["events"].get("stalled", {})
            if set(told) == set(names):
                return told
            await asyncio.sleep(0.05)


async def test_readyz_names_a_group_that_stalls(database_url: str, garden: Garden) -> None:
    """A group whose handlers wait for a server stalls: by name, with age, count and remedy, and the
    API stays in rotation; when the server is back it stalls no more."""
    tower, ledger = towers.plant(garden)
    app = Tessera(settings_for(database_url, "tower", "ledger", events=STALLING), migrate=True)
    await app.start()
    try:
        bells = Bells(app, database_url, tower, ledger)
        assert (await get(app, "/readyz")).json()["events"] == {"status": "ok"}
        bells.is_unavailable(1)
        await bells.strike(1, 1, 2)
        told = (await stalled(app, "ledger"))["ledger"]
        assert (told["waiting"], told["oldest_seconds"] >= 0) == (2, True)
        assert "its log says" in told["remedy"] or "log of a worker" in told["remedy"]
        ledger.BAD.clear()
        await stalled(app)
        assert await bells.effects(3) != []
    finally:
        await app.stop()


async def test_a_message_that_is_to_be_tried_later_is_no_stall(
    database_url: str, garden: Garden
) -> None:
    """What waits for its next try, or behind it, or behind a dead letter, waits on purpose."""
    tower, ledger = towers.plant(garden)
    app = Tessera(settings_for(database_url, "tower", "ledger", events=STALLING), migrate=True)
    await app.start()
    try:
        bells = Bells(app, database_url, tower, ledger)
        bells.goes_wrong(1, ValueError("later"))
        await bells.strike(1, 1)
        await asyncio.sleep(1.2)
        assert (await get(app, "/readyz")).json()["events"] == {"status": "ok"}
    finally:
        await app.stop()


async def test_a_message_that_a_server_has_put_off_is_no_stall_while_others_flow(
    database_url: str, garden: Garden
) -> None:
    """A message that alone was put off stalls only until something else tells that the server
    works; then it waits on purpose, however long, and so does what is behind it."""
    tower, ledger = towers.plant(garden)
    app = Tessera(settings_for(database_url, "tower", "ledger", events=STALLING), migrate=True)
    await app.start()
    try:
        bells = Bells(app, database_url, tower, ledger)
        tried = bells.goes_wrong(1, Unavailable("later", only_this=True))
        await bells.strike(1, 1)
        await stalled(app, "ledger")
        await bells.strike(2)
        await stalled(app)
        before = len(tried)
        for _ in range(25):
            assert (await get(app, "/readyz")).json()["events"] == {"status": "ok"}
            await asyncio.sleep(0.1)
        assert 2 <= len(tried) - before <= 4
        assert towers.lines(database_url) == [(2, 1)]
        rows = "SELECT attempts, state FROM core_deliveries"
        assert towers.query(database_url, rows) == [(0, "pending")] * 2
        ledger.BAD.clear()
        assert await bells.effects(3) == [(2, 1), (1, 1), (1, 2)]
    finally:
        await app.stop()


async def test_without_a_worker_the_relay_stalls_and_a_disabled_module_never_does(
    database_url: str, garden: Garden
) -> None:
    """An API alone says that nobody relays; what a disabled module does not get is no stall."""
    towers.plant(garden)
    worker = Tessera(settings_for(database_url, "tower", "ledger", events=STALLING), migrate=True)
    await worker.start()  # so that the group is known, and then its module is disabled
    await worker.stop()
    api = Tessera(
        settings_for(database_url, "tower", events=STALLING, server={"role": "api"}), migrate=True
    )
    await api.start()
    try:
        assert (await get(api, "/v1/tower/1")).status_code == 405
        transport = httpx2.ASGITransport(api)
        async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
            assert (await client.post("/v1/tower/1")).status_code == 201
        told = (await stalled(api, "relay"))["relay"]
        expected = "no process works on it" if "postgresql" in database_url else "role worker"
        assert expected in told["remedy"]
        worker = Tessera(settings_for(database_url, "tower", events=STALLING), migrate=True)
        await worker.start()
        try:
            await stalled(api)
            await asyncio.sleep(0.8)
            await stalled(api)
            assert towers.waiting(database_url) == (0, 1)
        finally:
            await worker.stop()
    finally:
        await api.stop()


@pytest.mark.timeout(300)
async def test_status_tells_an_operator_the_same(
    bells: Bells, garden: Garden, tmp_path: Path
) -> None:
    """`events status` has a line for the relay and each group and one for what stalls; --json has
    the figures."""
    place = Installation(
        tmp_path / "place",
        bells.url,
        **{
            "events": {"stall_seconds": 0.2},
            "modules.tower": {"enabled": True},
            "modules.ledger": {"enabled": True},
        },
    )
    place.environ["PYTHONPATH"] = str(garden.folder)
    bells.is_unavailable(1)
    bells.goes_wrong(2, ValueError("no"))
    await bells.strike(1, 2)
    await bells.dead(1)
    await asyncio.sleep(0.3)
    done = await asyncio.to_thread(place.run, "events", "status")
    lines = done.stdout.splitlines()
    assert (done.returncode, lines[0].split()) == (0, ["relay", "0", "waiting"]), done.stderr
    assert "1 waiting, the oldest for 0:00:0" in lines[1]
    assert lines[1].endswith("1 dead")
    assert lines[2].startswith("ledger stalls, work has been due for 0:00:0")
    done = await asyncio.to_thread(place.run, "events", "status", "--json")
    told = json.loads(done.stdout)
    [group] = told["groups"]
    assert (group["waiting"], group["dead"], group["lag"]) == (1, 1, None)
    assert group["overdue_seconds"] > 0.2
    assert group["workers"] == (1 if "postgresql" in bells.url else None)
    [stall] = told["stalled"]
    assert (stall["name"], stall["waiting"]) == ("ledger", 1)
    assert stall["remedy"]


@pytest.mark.timeout(300)
async def test_that_nothing_is_recorded_is_said(
    database_url: str, garden: Garden, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `events.recording` off the log of a start, /readyz and `events status` say so."""
    towers.plant(garden)
    off = {"recording": False}
    app = Tessera(settings_for(database_url, "tower", "ledger", events=off), migrate=True)
    await app.start()
    try:
        assert "events are not recorded" in capsys.readouterr().err
        events = (await get(app, "/readyz")).json()["events"]
        assert (events["status"], "events.recording" in events["reason"]) == ("off", True)
    finally:
        await app.stop()
    place = Installation(tmp_path / "place", database_url, events=off)
    done = await asyncio.to_thread(place.run, "events", "status")
    assert done.stdout.startswith("events.recording is false"), done.stderr
    done = await asyncio.to_thread(place.run, "events", "status", "--json")
    assert json.loads(done.stdout)["recording"] is False


async def test_old_notes_of_what_was_received_are_pruned(bells: Bells) -> None:
    """Without a broker the inbox forgets nothing, since one may be put back; when told that none
    will, what is older than seven days, and no row before."""
    from sqlalchemy import insert

    from core.events.pruning import kept_for_a_broker, prune_inbox
    from core.events.tables import inbox
    from core.settings import Settings

    now = datetime.now(UTC)
    rows = [
        {"group_name": "ledger", "event_id": _id(age), "received_at": now - timedelta(days=age)}
        for age in (0, 6, 8, 400)
    ]
    async with bells.database.write() as session:
        await session.exec(insert(inbox), params=rows)
    kafka = Settings.for_tests().kafka
    assert await prune_inbox(bells.database, kafka) == 0
    assert await kept_for_a_broker(bells.database, kafka) == 2
    assert await prune_inbox(bells.database, kafka, anyway=True) == 2
    assert await kept_for_a_broker(bells.database, kafka) == 0
    left = towers.query(bells.url, "SELECT count(*) FROM core_inbox")
    assert left == [(2,)]


def _id(number: int) -> Any:
    from uuid import UUID

    return UUID(int=number)
