"""What an event looks like on a topic, and what is made of what others put there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

import pytest

from core.events.kafka.cloudevents import STRAY, NoEnvelope, decode, encode

ROW = SimpleNamespace(
    id=UUID("11111111-2222-4333-8444-555555555555"),
    type="tower.bell_struck.v1",
    aggregate_type="tower.bell",
    aggregate_id="7",
    aggregate_version=3,
    created_at=datetime(2026, 11, 23, 5, 0, 0, 123456, UTC),
    headers=json.dumps({"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}),
)


def test_an_event_is_a_cloudevent_in_binary_mode() -> None:
    """The attributes are headers, by the names of the Kafka binding."""
    assert {name: value.decode() for name, value in encode(ROW)} == {
        "ce_specversion": "1.0",
        "ce_id": "11111111-2222-4333-8444-555555555555",
        "ce_source": "/tessera/tower",
        "ce_type": "tower.bell_struck.v1",
        "ce_time": "2026-11-23T05:00:00.123456Z",
        "ce_subject": "7",
        "ce_sequence": "3",
        "ce_aggregatetype": "tower.bell",
        "content-type": "application/json",
        "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    }


def test_what_was_encoded_is_read_as_it_was() -> None:
    """Id, type, aggregate, version, moment and trace come back."""
    found = decode(encode(ROW), offset=0, timestamp=0)
    assert (found.event_id, found.type, found.subject, found.sequence) == (ROW.id, ROW.type, "7", 3)
    assert (found.recorded_at, found.module) == (ROW.created_at, "tower")
    assert (found.aggregate_type, found.is_ours) == ("tower.bell", True)
    assert found.traceparent == json.loads(ROW.headers)["traceparent"]


def test_a_strangers_cloudevent_is_read_too() -> None:
    """Without time and sequence the message's own stand in; an id of any form is always the same
    UUID, and another one for another source."""
    bare = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"A-1"),
        ("ce_source", b"/shop"),
        ("ce_type", b"tower.bell_struck.v1"),
        ("ce_subject", b"7"),
    ]
    found = decode(bare, offset=5, timestamp=1_000)
    assert (found.sequence, found.recorded_at.timestamp()) == (STRAY + 5, 1.0)
    assert (found.aggregate_type, found.is_ours) == (None, False)
    foreign = [*bare, ("ce_aggregatetype", b"shop.order")]
    assert decode(foreign, offset=5, timestamp=0).aggregate_type is None, "another module's"
    assert decode(bare, offset=6, timestamp=0).event_id == found.event_id
    other = decode([*bare, ("ce_source", b"/other")], offset=5, timestamp=0)
    assert other.event_id != found.event_id


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ce_specversion", b"0.3", "ce_specversion is '0.3'"),
        ("ce_id", b"", "no header ce_id"),
        ("ce_type", b"\xff", "the header ce_type is not UTF-8"),
        ("ce_time", b"yesterday", "the header ce_time is no time"),
        ("ce_time", b"2026-11-23T05:00:00", "the header ce_time has no offset"),
        ("ce_time", b"0001-01-01T00:00:00+23:00", "the header ce_time is no time"),
        ("ce_time", None, "no header ce_time"),
        ("ce_id", None, "no header ce_id"),
        ("ce_sequence", b"9" * 5_000, "the header ce_sequence is no number"),
        ("ce_sequence", b"-1", "the header ce_sequence is no number"),
        ("ce_sequence", "²".encode(), "the header ce_sequence is no number"),
        ("ce_sequence", b"99999999999999999999", "the header ce_sequence is no number"),
    ],
)
def test_what_is_no_envelope_is_said(name: str, value: bytes | None, said: str) -> None:
    """The first header that is missing or wrong is named."""
    headers = [*encode(ROW), (name, value)]
    with pytest.raises(NoEnvelope, match=said):
        decode(headers, offset=0, timestamp=0)


@pytest.mark.parametrize("timestamp", [-1, 0, 2**62])
def test_any_timestamp_is_taken(timestamp: int) -> None:
    """A sender may write any number there; the moment stays one that a calendar has."""
    bare = [it for it in encode(ROW) if it[0] != "ce_time"]
    found = decode([*bare, ("traceparent", None)], offset=0, timestamp=timestamp)
    assert 1970 <= found.recorded_at.year <= 9999
    assert found.traceparent is None
