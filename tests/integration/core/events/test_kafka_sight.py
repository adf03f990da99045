"""What can be seen of events that travel through Kafka, and what may be forgotten of them."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert

from core.errors import Refused
from core.events import lookout
from core.events.pruning import prune_inbox
from core.events.tables import inbox
from core.settings import Settings
from tests.integration.core.events.conftest import Bells
from tests.integration.core.events.test_event_sight import get, seen, stalled
from tests.integration.core.events.test_roles import postgres
from tests.support import tower as towers
from tests.support.apps import app_for
from tests.support.kafka import make_topics
from tests.support.plants import Garden
from tests.support.processes import Installation

__all__ = ["postgres"]
pytestmark = pytest.mark.kafka


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the next look."""
    monkeypatch.setattr(lookout, "FRESH_SECONDS", 0.05)
    monkeypatch.setattr(lookout, "LAG_FRESH_SECONDS", 0.05)


async def lag(bells: Any, expected: int) -> None:
    """Until /metrics tells of this lag."""
    async with asyncio.timeout(30):
        while (await seen(bells.app)).get("tessera_events_lag{ledger}") != expected:
            await asyncio.sleep(0.1)


async def test_the_lag_of_a_group_is_told(kafka_bells: Any) -> None:
    """What lies on the topic and a group was not given is its lag, until the group has it."""
    bells = kafka_bells
    await bells.strike(1, 2)
    assert len(await bells.effects(2)) == 2
    await lag(bells, 0)
    found = await seen(bells.app)
    assert found["tessera_events_published_total"] == 2
    assert found["tessera_events_delivered_total{ledger}"] == 2
    await bells.swap("tower")  # its group stays behind
    await bells.strike(1, 2, 3)
    await lag(bells, 3)
    await bells.swap("tower", "ledger")
    assert len(await bells.effects(5)) == 5
    await lag(bells, 0)
    answer = await get(bells.app, "/readyz")
    assert answer.json()["events"] == {"status": "ok"}


async def test_what_is_sent_again_is_published_once(
    kafka_bells: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event whose lease went to another process before it was marked is sent once more, and
    counts when it is marked."""
    from core.events.kafka import stream

    bells, mark, owners = kafka_bells, stream.mark_published, list[str]()
    if bells.database.dialect == "sqlite":
        pytest.skip("SQLite has one process, which marks without a lease")

    async def first_too_late(*given: Any, owner: str) -> int:
        owners.append(owner if owners else "another")
        return await mark(*given, owner=owners[-1])

    monkeypatch.setattr(stream, "mark_published", first_too_late)
    await bells.strike(1)
    assert await bells.effects(1) == [(1, 1)]
    await bells.until(lambda: towers.waiting(bells.url) == (0, 0))
    assert len(owners) == 2
    assert (await seen(bells.app))["tessera_events_published_total"] == 1


async def test_a_group_that_nobody_serves_stalls(
    database_url: str, garden: Garden, kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """What lies on a topic and is not taken from it shows too, though no delivery waits in the
    database, and where workers are counted `events status` tells of it at its one look; once a
    process serves the group it stalls no more."""
    tower, ledger = towers.plant(garden)
    sections = {
        "kafka": {"bootstrap_servers": kafka, "topic_prefix": topic_prefix, "partitions": 2},
        "events": {**towers.QUICK, "stall_seconds": 0.5},
    }
    operator = Operator(tmp_path / "place", database_url, garden, **sections["kafka"])
    counted = "postgresql" in database_url
    api = app_for(database_url, "tower", "ledger", server={"role": "api"}, **sections)
    relay = app_for(database_url, "tower", **sections)
    await api.start()
    await relay.start()
    try:
        bells = Bells(api, database_url, tower, ledger)
        await bells.strike(1, 2)
        told = (await stalled(api, "ledger"))["ledger"]
        assert told["oldest_seconds"] >= 0
        assert towers.waiting(database_url) == (0, 0)
        await asyncio.to_thread(operator.tells_who_stalls, ["ledger"] if counted else [])
        worker = app_for(database_url, "tower", "ledger", **sections)
        await worker.start()
        try:
            assert len(await bells.effects(2)) == 2
            await stalled(api)
            await asyncio.to_thread(operator.tells_who_stalls, [])
        finally:
            await worker.stop()
    finally:
        await relay.stop()
        await api.stop()


async def received(bells: Any, *ages: int) -> None:
    """Rows of the inbox that are so many days old."""
    now = datetime.now(UTC)
    rows = [
        {"group_name": "ledger", "event_id": UUID(int=it), "received_at": now - timedelta(days=it)}
        for it in ages
    ]
    async with bells.database.write() as session:
        await session.exec(insert(inbox), params=rows)


DAY = 24 * 3600 * 1000


@pytest.mark.parametrize(
    ("retention", "gone"), [(DAY, 3), (20 * DAY, 2), (60 * DAY, 1), (-1, 0)], ids=str
)
async def test_what_may_still_be_on_a_topic_is_not_forgotten(
    bells: Any, kafka: str, topic_prefix: str, retention: int, gone: int
) -> None:
    """The inbox keeps what it knows for seven days, or for as long as a topic and its segments last
    when that is longer; where a topic keeps all, it keeps all."""
    make_topics(
        kafka, f"{topic_prefix}.tower", retention_ms=str(retention), segment_ms=str(5 * DAY)
    )
    await received(bells, 1, 8, 30, 400)
    settings = Settings.for_tests(kafka={"bootstrap_servers": kafka, "topic_prefix": topic_prefix})
    assert await prune_inbox(bells.database, settings.kafka) == gone
    assert towers.query(bells.url, "SELECT count(*) FROM core_inbox") == [(4 - gone,)]


async def test_nothing_is_forgotten_while_the_broker_does_not_answer(bells: Any) -> None:
    """Without an answer how long messages are kept the inbox is left as it is, and that is told."""
    await received(bells, 400)
    away = {"bootstrap_servers": "127.0.0.1:1", "send_seconds": 1}
    with pytest.raises(Refused, match="what groups have received is kept"):
        await prune_inbox(bells.database, Settings.for_tests(kafka=away).kafka)
    assert towers.query(bells.url, "SELECT count(*) FROM core_inbox") == [(1,)]


class Operator:
    """Runs `tessera events …` in a deployment of tower and ledger on Kafka."""

    def __init__(self, folder: Path, url: str, garden: Garden, **kafka: Any) -> None:
        self.place = Installation(
            folder,
            url,
            **{
                "app": {"preflight": False},
                "events": towers.QUICK,
                "kafka": kafka,
                "modules.tower": {"enabled": True},
                "modules.ledger": {"enabled": True},
            },
        )
        self.place.environ["PYTHONPATH"] = str(garden.folder)

    def runs(self, *words: str) -> tuple[int, str, str]:
        """Exit code, output, complaint."""
        done = self.place.run("events", *words)
        return done.returncode, done.stdout, done.stderr

    def status(self) -> tuple[Any, str]:
        """The document of `status --json`, and the complaint."""
        code, out, said = self.runs("status", "--json")
        assert code == 0, said
        return json.loads(out), said

    def tells_who_stalls(self, names: list[str]) -> None:
        """Check whom `status` names, to programs and to people: groups that nobody serves."""
        assert [it["name"] for it in self.status()[0]["stalled"]] == names
        _, out, _ = self.runs("status")
        told = "{} stalls, what lies on Kafka for it is not taken: no process works on it"
        lines = [line for line in out.splitlines() if " stalls, " in line]
        assert [line.partition(": start one")[0] for line in lines] == [*map(told.format, names)]


def rows(url: str) -> int:
    """How many events the outbox holds."""
    [(count,)] = towers.query(url, "SELECT count(*) FROM core_outbox")
    return int(count)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_roles_on_kafka_and_the_lag_on_the_command_line(
    postgres: str, garden: Garden, kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """An API alone leaves events in the outbox; a worker sends and delivers them. A group left
    behind has its lag in `events status`, and nothing is pruned that it was not given; with the
    broker away a line says why there is none."""
    towers.plant(garden)
    section = {"bootstrap_servers": kafka, "topic_prefix": topic_prefix, "partitions": 2}
    operator = Operator(tmp_path / "place", postgres, garden, **section)
    assert operator.place.run("db", "upgrade").returncode == 0
    with operator.place.serving("--role", "api") as api:
        for bell in (1, 2, 1):
            assert api.call("POST", f"/v1/tower/{bell}").status_code == 201
        time.sleep(1)
        assert towers.waiting(postgres) == (3, 0)
        with operator.place.serving("--role", "worker"):
            deadline = time.monotonic() + 60
            while len(towers.lines(postgres)) < 3:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            while operator.status()[0]["groups"][0]["lag"] != 0:
                assert time.monotonic() < deadline
    operator.place.environ["TESSERA_MODULES__LEDGER__ENABLED"] = "false"
    with operator.place.serving() as server:
        assert server.call("POST", "/v1/tower/3").status_code == 201
        deadline = time.monotonic() + 60
        while operator.status()[0]["groups"][0]["lag"] != 1:
            assert time.monotonic() < deadline
    _, out, _ = operator.runs("status")
    assert "1 behind on Kafka" in out
    assert "stalls" not in out  # a disabled module
    code, _, said = operator.runs("prune", "--days", "0")
    assert (code, "messages of that time were not given to ledger (1) yet" in said) == (1, True)
    assert rows(postgres) == 4
    assert operator.runs("prune")[0] == 0  # there is none so old
    operator.place.environ["TESSERA_KAFKA__BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    operator.place.environ["TESSERA_KAFKA__SEND_SECONDS"] = "1"
    told, said = operator.status()
    assert told["groups"][0]["lag"] is None
    assert (said.count("\n"), "the lag is not known" in said) == (1, True)
    code, _, said = operator.runs("prune")
    assert (code, said.count("\n")) == (1, 1)
    assert "nothing was deleted: " in said
    code, _, said = operator.runs("prune", "--anyway")
    assert (code, said.count("\n")) == (1, 1)
    assert "what groups have received is kept" in said


@pytest.mark.timeout(300)
async def test_what_the_broker_did_not_take_is_mended_on_the_command_line(
    database_url: str, garden: Garden, kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """`relay` is a group to `failed`, `retry` and `discard`; `status` and /metrics count it."""
    from core.plugin import record

    tower, ledger = towers.plant(garden)
    section = {"bootstrap_servers": kafka, "topic_prefix": topic_prefix}
    small = {**section, "max_message_bytes": 2000}
    app = app_for(database_url, "tower", "ledger", events=towers.QUICK, kafka=small)
    await app.start()
    try:
        bells = Bells(app, database_url, tower, ledger)
        async with bells.database.write() as session:
            record(session, tower.Struck(bell=1, count=10**3000), version=1)
            record(session, tower.Struck(bell=1, count=2), version=2)
        [letter] = await bells.dead(1)
        found = await seen(app)
        assert found["tessera_outbox_dead"] == found["tessera_events_dead_total{relay}"] == 1
        operator = Operator(tmp_path / "place", database_url, garden, **section)
        await asyncio.to_thread(_mend, operator, letter.number)
        assert await bells.effects(1) == [(1, 2)]
    finally:
        await app.stop()


def _mend(operator: Operator, number: int) -> None:
    told, _ = operator.status()
    assert (told["relay"]["dead"], told["relay"]["waiting"]) == (1, 1)
    code, out, _ = operator.runs("failed", "--group", "relay")
    assert (code, out.startswith(f"relay {number}: tower.bell_struck.v1 of tower.bell/1")) == (
        1,
        True,
    )
    assert "1 wait behind it" in out
    code, out, _ = operator.runs("retry", "relay", str(number))
    assert (code, "1 dead letters to be tried again" in out) == (0, True)
    deadline = time.monotonic() + 30
    while operator.runs("failed", "--json")[0] == 0:  # it is too large still
        assert time.monotonic() < deadline
    code, out, _ = operator.runs("discard", "relay", "--all")
    assert (code, "1 dead letters discarded" in out) == (0, True)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What a frozen broker answers, until whoever asks goes."""
    await reader.read()
    writer.close()


async def told_of(servers: str, url: str, expected: str) -> dict[str, Any]:
    """What /readyz tells of the broker at these addresses once it is known; always with 200."""
    app = app_for(url, kafka={"bootstrap_servers": servers})
    await app.start()
    try:
        async with asyncio.timeout(10):
            while True:
                began = time.monotonic()
                answer = await get(app, "/readyz")
                assert answer.status_code == 200
                assert time.monotonic() - began < 0.9, "a probe of a second would have given up"
                found: dict[str, Any] = answer.json()["servers"]["kafka"]
                if found["status"] == expected:
                    return found
                await asyncio.sleep(0.05)
    finally:
        await app.stop()


async def test_readyz_tells_whether_the_broker_answers(kafka: str, sqlite_url: str) -> None:
    """It is up, down with the reason, or silent; one server that answers is enough, and the process
    is ready in any case."""
    assert await told_of(kafka, sqlite_url, "ok") == {"status": "ok"}
    assert await told_of(f"127.0.0.1:1,{kafka}", sqlite_url, "ok") == {"status": "ok"}
    refused = await told_of("127.0.0.1:1", sqlite_url, "down")
    assert refused["reason"].startswith("asking 127.0.0.1:1: ")
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        late = await told_of(f"127.0.0.1:{port}", sqlite_url, "down")
    finally:
        server.close()
        await server.wait_closed()
    assert late["reason"] == f"asking 127.0.0.1:{port}: no answer in time"
