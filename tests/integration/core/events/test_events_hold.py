"""What must hold of events in trouble that needs no killing; sizes as in CI, larger in a soak."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from core.events.kafka.stream import BATCH as SENT
from core.events.operations import failed, retry
from core.events.relay import BATCH
from tests.integration.core.events.conftest import Bells
from tests.support import soak
from tests.support import tower as towers
from tests.support.apps import app_for
from tests.support.databases import empty_database
from tests.support.fleet import RELAY_PROCESS, percentile
from tests.support.plants import Garden
from tests.support.postgres import private_server
from tests.support.tower import query

pytestmark = pytest.mark.timeout(soak.tier(200, 3000))
ROOT = Path(__file__).resolve().parents[4]


async def test_lower_numbers_that_commit_seconds_later(all_ways: Bells) -> None:
    """Events whose numbers were given before others', and whose commits come after those were
    delivered: none is missed."""
    bells, late = all_ways, 8
    if bells.database.dialect == "sqlite":
        pytest.skip("SQLite has one writer: numbers are given in the order of commits")
    rounds, seconds = soak.tier(7, 125), 2.0

    async def commit_late(bell: int, taken: asyncio.Barrier) -> None:
        async with bells.database.write() as slow:
            await towers.take_number(slow, bells.tower.Struck(bell=bell, count=1))
            await taken.wait()  # every number is taken now
            await asyncio.sleep(seconds)

    for number in range(rounds):
        before = number * (10 + late)
        taken = asyncio.Barrier(late + 1)
        slow = [asyncio.create_task(commit_late(1000 + before + it, taken)) for it in range(late)]
        await taken.wait()
        await bells.strike(*range(10))
        await bells.effects(before + 10)
        await asyncio.gather(*slow)
        await bells.effects(before + 10 + late)
    effects = await bells.effects(rounds * (10 + late))
    assert len(effects) == rounds * (10 + late)
    assert towers.in_order(effects)
    soak.note("late commits", late=rounds * late)


async def strike_badly(bells: Bells, bell: int, payload: str) -> None:
    """A stroke whose event cannot be read."""
    broken = text(
        "UPDATE core_outbox SET payload = :it WHERE aggregate_id = :bell AND aggregate_version = 3"
    )
    async with bells.database.write() as session:
        count = await bells.tower.strike(session, bell)
        [(event, version, *_)], session._recorded = session._recorded, []
        await towers.take_number(session, event, version=version)
        assert count == 3
        await session.exec(broken, params={"it": payload, "bell": str(bell)})


async def test_a_hundredth_of_all_messages_is_bad(all_ways: Bells) -> None:
    """Undecodable, of a wrong schema, or raising: five tries each, dead with a reason; other keys
    flow, later versions of the same key wait; a retry after the fix gives one effect each, in
    order."""
    bells, each = all_ways, 5
    keys = soak.tier(60, 2_000)
    bad = range(keys * each // 100)
    raising = [bell for bell in bad if bell % 3 == 0]

    async def strike(bell: int) -> None:
        await bells.strike(bell, bell)
        if bell in bad and bell % 3:
            payload = "{" if bell % 3 == 1 else json.dumps({"bell": bell})
            await strike_badly(bells, bell, payload)
        else:
            if bell in raising:
                await bells.until(lambda: towers.lines(bells.url).count((bell, 2)))
                bells.goes_wrong(bell, ValueError("the ink is dry"))
            await bells.strike(bell)
        await bells.strike(bell, bell)

    for first in range(0, keys, 20):
        await asyncio.gather(*(strike(bell) for bell in range(first, min(first + 20, keys))))
    patience = soak.tier(20, 300)
    await bells.dead(len(bad), seconds=patience)
    flowing = (keys - len(bad)) * each + len(bad) * 2
    assert len(await bells.effects(flowing, seconds=patience)) == flowing
    await bells.until(lambda: towers.waiting(bells.url) == (0, len(bad) * 3))
    letters = await failed(bells.database)
    assert {(it.attempts, it.behind) for it in letters} == {(5, 2)}
    reasons = {it.aggregate.rpartition("/")[2]: it.reason.split(":")[0] for it in letters}
    assert reasons == {
        str(bell): "ValueError" if bell in raising else "Undecodable" for bell in bad
    }
    await mend(bells, [bell for bell in bad if bell not in raising])
    assert await retry(bells.database, "ledger", None) == len(bad)
    effects = await bells.effects(keys * each, seconds=patience)
    assert len(effects) == keys * each
    assert towers.in_order(effects)
    soak.note("bad messages", messages=keys * each, bad=len(bad))


async def mend(bells: Bells, broken: list[int]) -> None:
    """What whoever runs it does: the payloads as they should have been, the ink filled up."""
    bells.ledger.BAD.clear()
    good = text(
        "UPDATE core_outbox SET payload = :it WHERE aggregate_id = :bell AND aggregate_version = 3"
    )
    async with bells.database.write() as session:
        for bell in broken:
            payload = json.dumps({"bell": bell, "count": 3})
            await session.exec(good, params={"it": payload, "bell": str(bell)})


async def test_a_subscriber_that_is_off_misses_nothing(all_ways: Bells) -> None:
    """What was published while its module was disabled it is given once it is enabled again."""
    bells, count = all_ways, soak.tier(100, 1_000)
    await bells.strike(99)
    assert await bells.effects(1) == [(99, 1)]
    await bells.swap("tower")
    await asyncio.gather(*(bells.strike(*[bell] * (count // 10)) for bell in range(10)))
    await asyncio.sleep(0.5)
    assert towers.lines(bells.url) == [(99, 1)]
    await bells.swap("tower", "ledger")
    effects = await bells.effects(1 + count)
    assert len(effects) == 1 + count
    assert towers.in_order(effects)
    soak.note("disabled and enabled", events=count)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("broker", [False, pytest.param(True, marks=pytest.mark.kafka)])
async def test_a_database_that_is_away(
    broker: bool, garden: Garden, request: pytest.FixtureRequest
) -> None:
    """The consumers' PostgreSQL goes in the middle of their work, and comes back: nothing is dead,
    nothing was dropped, no failure was counted."""
    sections: dict[str, Any] = {}
    if broker:
        prefix, servers = (request.getfixturevalue(it) for it in ("topic_prefix", "kafka"))
        sections["kafka"] = {"bootstrap_servers": servers, "topic_prefix": prefix, "partitions": 4}
    tower, ledger = towers.plant(garden, outside=False)
    away = soak.tier(10, 60)
    with private_server() as server:
        app = app_for(server.url, "tower", "ledger", events=towers.QUICK, **sections)
        await app.start()
        try:
            bells = Bells(app, server.url, tower, ledger, **sections)
            ledger.BAD[1] = lambda: asyncio.sleep(0.05)  # so that it is in the middle
            await bells.strike(*[1] * 40, *range(2, 42))
            await bells.effects(5)
            await asyncio.to_thread(server.stop, "immediate")
            await asyncio.sleep(away)
            await asyncio.to_thread(server.start)
            effects = await bells.effects(80)
            assert await failed(bells.database) == []
        finally:
            await app.stop()
        assert len(effects) == 80
        assert towers.in_order(effects)
    soak.note("database away", seconds=away, broker=broker)


@pytest.fixture
def postgres_url(tmp_path: Path) -> Iterator[str]:
    """An empty PostgreSQL database."""
    with empty_database("postgresql", tmp_path) as url:
        yield url


PILE = """
    INSERT INTO core_outbox (id, type, aggregate_type, aggregate_id, aggregate_version, bucket,
        payload, headers, state, attempts, created_at, available_at)
    SELECT gen_random_uuid(), 'tower.bell_struck.v1', 'tower.bell', (it % 1000)::text, it, it % 16,
        '{"bell": 1, "count": 1}', '{}', 'pending', 0, now(), now()
    FROM generate_series(1, :count) AS it
"""


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("broker", [False, pytest.param(True, marks=pytest.mark.kafka)])
async def test_a_pile_of_pending_events(
    broker: bool, postgres_url: str, garden: Garden, request: pytest.FixtureRequest
) -> None:
    """A relay works a pile off: 99 of 100 claims of a whole batch take less than 20 ms, by the
    partial index, and it never holds 300 MiB. (With a broker 20 ms of the database: the loop sends
    meanwhile.) In one of three runs: what else runs beside the suite takes its time too."""
    sections: dict[str, Any] = {}
    if broker:
        prefix, servers = (request.getfixturevalue(it) for it in ("topic_prefix", "kafka"))
        sections["kafka"] = {"bootstrap_servers": servers, "topic_prefix": prefix, "partitions": 4}
    towers.plant(garden)
    count = soak.tier(55_000, 300_000)
    app = app_for(postgres_url, "tower", "ledger", server={"role": "api"}, events=towers.QUICK)
    await app.start()
    try:
        for _ in range(soak.tier(3, 1)):
            told, p99 = await worked_off(app, postgres_url, count, broker=broker, **sections)
            if p99 < 20:
                break
    finally:
        await app.stop()
    figures = {
        "claims": len(told["claims"]),
        "claim_p99_ms": round(p99, 1),
        "mib": round(told["mib"]),
        "s": round(told["seconds"], 1),
    }
    soak.note("pile", broker=broker, events=count, limits=told["limits"], **figures)
    assert "ix_core_outbox_pending" in told["plan"]
    assert p99 < 20
    assert told["mib"] < 300


async def worked_off(
    app: Any, url: str, count: int, *, broker: bool, **sections: Any
) -> tuple[dict[str, Any], float]:
    """Pile up so many events and relay them; what the relay tells, and the p99 of its claims."""
    async with app.resources.database.writer.begin() as connection:
        await connection.execute(text("TRUNCATE core_outbox, core_deliveries"))
        await connection.execute(text(PILE), {"count": count})
        await connection.execute(text("ANALYZE core_outbox"))
    told = await asyncio.to_thread(relayed, url, **sections)
    published = "SELECT count(*) FROM core_outbox WHERE state = 'published'"
    assert query(url, published) == [(count,)]
    if not broker:
        assert query(url, "SELECT count(*) FROM core_deliveries") == [(count,)]
    whole = SENT if broker else BATCH
    assert len(told["claims"]) * whole > 0.8 * count  # it is these that are measured
    assert f"rows={whole} loops=1" in told["plan"].splitlines()[0]  # and that are explained
    return told, percentile(told["executed" if broker else "claims"], 0.99)


def relayed(url: str, **sections: Any) -> dict[str, Any]:
    """What a process that does nothing but relay says at its end."""
    settings = {"database": {"url": url}, "events": {"lease_seconds": 5}, **sections}
    done = subprocess.run(
        [sys.executable, str(RELAY_PROCESS), json.dumps(settings)],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=soak.tier(120, 1200),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))
