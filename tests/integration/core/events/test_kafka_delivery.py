"""What a broker in between adds to test_event_delivery, which it goes through as well."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from sqlalchemy import bindparam, delete, text

from core.events.kafka.intake import CLOCKS_DIFFER
from core.events.operations import failed, replay, retry
from core.events.tables import group_types
from tests.support import tower as towers
from tests.support.tower import query

pytestmark = pytest.mark.kafka


async def put(
    bells: Any,
    *,
    value: bytes | None = None,
    key: str = "1",
    headers: dict[str, str] | None = None,
    timestamp: int = 0,
    **attributes: str,
) -> None:
    """A stranger puts a message on the tower's topic; by default the first stroke of bell 1, and
    now (its own `timestamp`, in milliseconds)."""
    usual = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid4()),
        "ce_source": "/tessera/tower",
        "ce_type": "tower.bell_struck.v1",
        "ce_time": datetime.now(UTC).isoformat(),
        "ce_subject": key,
        "ce_sequence": "1",
    }
    told = {**usual, **attributes} if headers is None else headers
    data = json.dumps({"bell": int(key), "count": 1}).encode() if value is None else value
    await bells.put(data, headers=told, key=key, timestamp=timestamp)


async def test_a_failing_message_is_tried_five_times_and_parks_its_key_only(
    kafka_bells: Any,
) -> None:
    """After five tries a message is dead with its reason; later ones of its key wait, others flow;
    a retry after the fix gives one effect each, in order, and what comes then goes on behind."""
    bells = kafka_bells
    bells.goes_wrong(1, ValueError("the ink is dry"))
    await bells.strike(1, 2, 1, 2, 1)
    [letter] = await bells.dead(1)
    await bells.until(lambda: towers.waiting(bells.url) == (0, 3))
    [letter] = await failed(bells.database)
    assert (letter.group, letter.attempts, letter.behind) == ("ledger", 5, 2)
    assert letter.reason == "ValueError: the ink is dry"
    assert letter.type == "tower.bell_struck.v1"
    assert await bells.effects(2) == [(2, 1), (2, 2)]
    bells.ledger.BAD.clear()
    await bells.strike(1)
    assert await bells.effects(2) == [(2, 1), (2, 2)]  # nobody said retry
    assert await retry(bells.database, "ledger", [letter.number]) == 1
    assert await bells.effects(6) == [(2, 1), (2, 2), (1, 1), (1, 2), (1, 3), (1, 4)]
    assert await failed(bells.database) == []
    await bells.strike(1)
    assert (await bells.effects(7))[-1] == (1, 5)


async def test_what_arrives_twice_has_one_effect(kafka_bells: Any) -> None:
    """The same event on the topic three times, two of them in one batch, is one line."""
    bells = kafka_bells
    same = str(uuid4())
    await put(bells, ce_id=same)
    await put(bells, ce_id=same)
    await bells.effects(1)
    await put(bells, ce_id=same)
    await put(bells, key="2")
    assert await bells.effects(2) == [(1, 1), (2, 1)]


async def test_what_cannot_be_read_is_a_dead_letter(kafka_bells: Any) -> None:
    """Broken JSON, a wrong schema and what is no event at all are dead after five tries with their
    reason and their data; other keys flow, and nothing is taken twice."""
    bells = kafka_bells
    await put(bells, key="11", value=b'{"bell": 1')
    await put(bells, key="12", value=b'{"bell": 1}')
    await put(bells, key="13", value=b"\xff\x00", ce_id="an id of a stranger")
    await put(bells, key="14", headers={}, value=b"hello \xff\x00")
    await put(bells, key="15", headers={"ce_specversion": "1.0"})
    await put(bells, key="16", ce_sequence="minus one")
    await bells.strike(1)
    letters = {letter.reason: letter for letter in await bells.dead(6)}
    assert {letter.attempts for letter in letters.values()} == {5}
    said = " | ".join(sorted(letters))
    assert "tower.bell_struck.v1: the payload: Invalid JSON" in said
    assert "tower.bell_struck.v1: count: Field required" in said
    assert "(no header ce_specversion)" in said
    assert "(no header ce_id)" in said
    assert "(the header ce_sequence is no number)" in said
    kept = query(bells.url, "SELECT payload FROM core_outbox WHERE aggregate_type='kafka.foreign'")
    assert ("hello \\xff\\x00",) in kept
    assert await bells.effects(1) == [(1, 1)]


class Garbled(str):
    """The name of a header that is no UTF-8 on the wire."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """As aiokafka asks for it, in Python."""
        return b"\xff\xfe"


async def put_garbled(bells: Any, *values: bytes, partition: int, compression: int = 0) -> None:
    """Messages of a stranger in one batch, between two that nobody can read either."""
    section = bells.sections["kafka"]
    producer = AIOKafkaProducer(bootstrap_servers=section["bootstrap_servers"])
    await producer.start()
    try:
        batch = producer.create_batch()
        batch._builder = _DefaultRecordBatchBuilderPy(
            2, compression, 0, -1, -1, -1, 1_000_000
        )  # the one in C makes no such names
        batch.append(key=b"1", value=b"before", timestamp=None)
        for value in values:
            batch.append(key=b"1", value=value, timestamp=None, headers=[(Garbled("a"), b"1")])
        batch.append(key=b"1", value=b"after", timestamp=None)
        topic = f"{section['topic_prefix']}.tower"
        await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()


async def test_a_headers_name_that_is_no_text_stops_nobody(kafka_bells: Any) -> None:
    """Messages with such a name are dead letters with that reason and their data; what lies before
    and behind them, in the same batch too, is given once."""
    bells = kafka_bells
    await bells.strike(*range(10))
    await put_garbled(bells, b"one", b"two", partition=0)
    await put_garbled(bells, b"three \xff", partition=1, compression=1)
    await bells.strike(*range(10, 20))
    letters = await bells.dead(3 + 2 * 2)
    assert sorted(await bells.effects(20)) == [(bell, 1) for bell in range(20)]
    reasons = [letter.reason for letter in letters]
    assert sum("(the name of a header is not UTF-8)" in it for it in reasons) == 3
    assert sum("(no header ce_specversion)" in it for it in reasons) == 4
    kept = query(bells.url, "SELECT payload FROM core_outbox WHERE aggregate_type='kafka.foreign'")
    told = ["after", "after", "before", "before", "one", "three \\xff", "two"]
    assert sorted(it for (it,) in kept) == told
    assert await failed(bells.database) == letters
    await bells.strike(1)
    assert (await bells.effects(21))[-1] == (1, 2)


async def test_what_is_none_of_its_affair_is_passed_by(kafka_bells: Any) -> None:
    """Types that a group does not want, and what was recorded before it was, leave nothing."""
    bells = kafka_bells
    await put(bells, ce_type="tower.bell_cast.v1")
    await put(bells, ce_time="2001-01-01T00:00:00Z")
    await put(bells, key="2")
    assert await bells.effects(1) == [(2, 1)]
    assert towers.waiting(bells.url) == (0, 0)


async def registered_since(bells: Any, moment: datetime) -> None:
    """Let the groups be registered as of that moment."""
    since = text("UPDATE core_group_types SET since = :since")
    since = since.bindparams(bindparam("since", type_=group_types.c.since.type))
    async with bells.database.write() as session:
        await session.exec(since, params={"since": moment})


async def test_what_was_before_a_subscription_is_passed_by(kafka_bells: Any) -> None:
    """A type that the group did not want then is not given to it, though it lies on the topic."""
    bells = kafka_bells
    await bells.swap("tower")
    await bells.strike(1, 1)
    await bells.until(lambda: towers.waiting(bells.url) == (0, 0))
    await registered_since(bells, datetime.now(UTC) + CLOCKS_DIFFER)
    await bells.swap("tower", "ledger")
    await put(bells, key="2")
    assert await bells.effects(1) == [(2, 1)]


class Fast(datetime):
    """A clock that is five minutes ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Fast:
        """As `datetime.now`."""
        return cls.fromtimestamp((datetime.now(tz) + timedelta(minutes=5)).timestamp(), tz)


async def test_a_fast_clock_at_the_registration_passes_nothing_by(
    kafka_bells: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is recorded after a group was first registered it is given, also when the clock of the
    process that registered it was fast."""
    bells = kafka_bells
    await bells.strike(9)
    await bells.effects(1)  # so that it is a member before it leaves
    await bells.swap("tower")
    async with bells.database.write() as session:
        await session.exec(delete(group_types))
    with monkeypatch.context() as patch:
        patch.setattr("core.events.groups.datetime", Fast)
        await bells.swap("tower", "ledger")
    await bells.strike(1, 1)
    assert await bells.effects(3) == [(9, 1), (1, 1), (1, 2)]


async def test_a_registration_that_is_yet_to_come_passes_nothing_by(
    kafka_bells: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a fast clock told since when a group is registered, that counts for nothing, and the
    log says so."""
    bells = kafka_bells
    await bells.strike(9)
    await bells.effects(1)  # so that it is a member before it leaves
    await bells.swap("tower")
    await registered_since(bells, datetime.now(UTC) + timedelta(minutes=5))
    await bells.strike(1, 1)
    await bells.swap("tower", "ledger")
    assert await bells.effects(3) == [(9, 1), (1, 1), (1, 2)]
    told = [it.getMessage() for it in caplog.records]
    assert len([it for it in told if "registered as of a moment that is yet to come" in it]) == 1


async def test_a_strangers_event_counts_from_when_it_was_put_there(kafka_bells: Any) -> None:
    """One that tells of a month ago is given like any other; one that lay there a month before the
    subscription is passed by."""
    bells = kafka_bells
    ago = datetime.now(UTC) - timedelta(days=30)
    old = {"ce_source": "/erp", "ce_time": ago.isoformat()}
    await put(bells, key="1", timestamp=int(ago.timestamp() * 1000), ce_source="/erp")
    await put(bells, key="2", **old)
    await bells.strike(3)
    assert sorted(await bells.effects(2)) == [(2, 1), (3, 1)]


async def test_a_replay_doubles_nothing(kafka_bells: Any) -> None:
    """The projection is emptied and built again, the same as before, also of what still lay on the
    topic unread; and what happens afterwards follows behind."""
    bells = kafka_bells
    await bells.strike(1, 2, 1)
    await bells.effects(3)
    [plan] = bells.app.generation.events.groups
    await bells.swap("tower")
    await bells.strike(2, 3)
    await bells.until(lambda: towers.waiting(bells.url) == (0, 0))
    assert await replay(bells.database, plan) == 5
    assert towers.lines(bells.url) == []
    await bells.swap("tower", "ledger")
    await bells.strike(1, 3)
    effects = await bells.effects(7)
    assert len(effects) == 7
    assert towers.in_order(effects)


async def test_what_leaves_the_house_is_done_by_whoever_has_the_lease(
    kafka_bells: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler without a transaction is called once for each event, in order, with its trace."""
    bells, told = kafka_bells, []

    async def ring(event: Any, delivery: Any) -> None:
        told.append((event.bell, event.count, delivery.traceparent))

    from core.plugin import on

    bells.ledger.subscriptions = bells.ledger.hookimpl(
        lambda: [on(bells.tower.Struck, ring, transaction=False)]
    )
    await bells.swap("tower")
    await bells.swap("tower", "ledger")
    await bells.strike(1, 1, 1)
    await bells.until(lambda: len(told) == 3)
    assert [it[:2] for it in told] == [(1, 1), (1, 2), (1, 3)]
    assert all(it[2].startswith("00-") for it in told)


async def test_strangers_of_one_subject_and_offset_are_all_kept(kafka_bells: Any) -> None:
    """Unreadable messages of a client without keys or sequence, at one offset of four partitions,
    are dead letters or wait behind one, each of them; everybody else's go on."""
    bells = kafka_bells
    await bells.strike(5)
    await bells.effects(1)
    for partition in range(4):
        told = {
            "ce_specversion": "1.0",
            "ce_id": str(uuid4()),
            "ce_source": "/stranger",
            "ce_type": "tower.bell_struck.v1",
            "ce_subject": "900",
        }
        await bells.put(b"{bad", headers=told, partition=partition)
    await bells.dead(1)
    await bells.strike(*range(100, 120))
    assert len(await bells.effects(21)) == 21
    await bells.until(lambda: towers.waiting(bells.url) == (0, 4))
    letters = await failed(bells.database)
    assert {(it.aggregate, it.attempts) for it in letters} == {("tower.bell/900", 5)}
