"""What an event class must say of itself, and how payloads of any version are read."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

import pytest
from pydantic import ValidationError

from core.events.catalog import EventCatalog, Undecodable
from core.events.event import Upcaster
from core.events.recording import bucket_of
from core.plugin import Event, upcast


class Rung(Event, type="tower.bell_rung.v1", aggregate="bell", key="bell"):
    """The first version."""

    bell: int


class Rung2(Event, type="tower.bell_rung.v2", aggregate="bell", key="bell"):
    """The second one."""

    bell: int
    loud: bool


class Rung3(Event, type="tower.bell_rung.v3", aggregate="bell", key="bell"):
    """The third one."""

    bell: int
    decibel: int


class Material(Enum):
    """Of what a bell is."""

    BRONZE = "bronze"
    STEEL = "steel"


class Cast(Event, type="tower.bell_cast.v1", aggregate="foundry", key="material"):
    """Counted by material."""

    material: Material


@upcast(Rung, Rung2)
def louder(old: Rung) -> Rung2:
    """Bells were loud."""
    return Rung2(bell=old.bell, loud=old.bell != 13)


@upcast(Rung2, Rung3)
def measured(old: Rung2) -> Rung3:
    """Loud is 90 decibels."""
    if old.bell == 66:
        raise ValueError("cracked")
    return Rung3(bell=old.bell, decibel=90 if old.loud else 0)


CATALOG = EventCatalog([Rung, Rung2, Rung3], [louder, measured])


@pytest.mark.parametrize(
    "keywords",
    [
        {"type": "bell_rung", "aggregate": "bell", "key": "bell"},
        {"type": "tower.bell_rung", "aggregate": "bell", "key": "bell"},
        {"type": "tower.BellRung.v1", "aggregate": "bell", "key": "bell"},
        {"type": "tower.bell_rung.v0", "aggregate": "bell", "key": "bell"},
        {"type": "tower.bell_rung.v1", "aggregate": "", "key": "bell"},
        {"type": "tower.bell_rung.v1", "aggregate": "bell", "key": "tower"},
        {},
    ],
)
def test_a_malformed_event_class_cannot_be_made(keywords: dict[str, Any]) -> None:
    """A type that is not module.past_tense.vN, no aggregate, or a key that is no field."""
    body = {"__annotations__": {"bell": int}, "__module__": __name__}
    with pytest.raises(TypeError):
        type(Event)("Wrong", (Event,), body, **keywords)


def test_an_event_is_frozen_and_strict_about_its_fields() -> None:
    """It cannot be changed, and takes no field that it does not know."""
    with pytest.raises(ValidationError):
        Rung(bell=1).bell = 2  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Rung(bell=1, tower=2)  # type: ignore[call-arg]
    assert (Rung(bell=1).aggregate_type, Rung(bell=1).aggregate_id) == ("tower.bell", "1")


@pytest.mark.parametrize("material", Material)
def test_the_key_of_an_enum_is_what_its_payload_says(material: Material) -> None:
    """Others find the aggregate of a message by what stands in it, not by a name in Python."""
    cast = Cast(material=material)
    assert cast.aggregate_id == json.loads(cast.model_dump_json())["material"]


def test_old_versions_are_lifted_step_by_step() -> None:
    """A payload of version 1 reaches a subscriber to version 3 through both upcasters."""
    old = CATALOG.decode("tower.bell_rung.v1", '{"bell": 4}')
    assert CATALOG.lift(old, {"tower.bell_rung.v3": ()}) == Rung3(bell=4, decibel=90)
    assert CATALOG.lift(old, {"tower.bell_rung.v1": ()}) is old
    assert CATALOG.lift(Rung3(bell=4, decibel=1), {"tower.bell_rung.v1": ()}) is None
    assert CATALOG.sources("tower.bell_rung.v3") == {f"tower.bell_rung.v{n}" for n in (1, 2, 3)}
    assert CATALOG.sources("tower.bell_rung.v1") == {"tower.bell_rung.v1"}


@pytest.mark.parametrize(
    ("event_type", "payload", "said"),
    [
        ("tower.bell_rung.v9", "{}", "no enabled module declares the event type"),
        ("tower.bell_rung.v1", "{", "the payload: Invalid JSON"),
        ("tower.bell_rung.v1", "{}", "tower.bell_rung.v1: bell: Field required"),
        ("tower.bell_rung.v2", '{"bell": 66, "loud": true}', "cracked"),
    ],
)
def test_what_cannot_be_read_says_why(event_type: str, payload: str, said: str) -> None:
    """An unknown type, broken JSON, a wrong schema, a raising upcaster: each is Undecodable."""
    with pytest.raises(Undecodable, match=said):
        CATALOG.lift(CATALOG.decode(event_type, payload), {"tower.bell_rung.v3": ()})


@pytest.mark.parametrize(
    ("given", "told"),
    [(Rung(bell=1), "a Rung"), (Rung3(bell=1, decibel=2), "a Rung3"), (None, "a NoneType")],
    ids=["the same again", "a version further", "nothing"],
)
@pytest.mark.timeout(10)  # it would go on for ever
def test_what_an_upcaster_does_not_say_that_it_gives_is_refused(given: Any, told: str) -> None:
    """An upcaster whose result is not of its newer class is named, with what it returned."""
    wrong = Upcaster(Rung, Rung2, lift=lambda old: given)  # as `upcast`, which would keep it
    catalog = EventCatalog([Rung, Rung2, Rung3], [wrong, measured])
    said = rf"^tower\.bell_rung\.v1 to .*\.v2: .*<lambda> returned {told}, not a Rung2$"
    with pytest.raises(Undecodable, match=said):
        catalog.lift(Rung(bell=1), {"tower.bell_rung.v3": ()})


def test_only_versions_of_one_event_are_lifted_and_only_upwards() -> None:
    """An upcaster between two events, or downwards, cannot be made."""

    with pytest.raises(TypeError, match="not versions of one event"):
        upcast(Rung, Cast)
    with pytest.raises(TypeError, match="is not after"):
        upcast(Rung2, Rung)


def test_buckets_are_stable() -> None:
    """A key's bucket is the same in every process and release, and all sixteen are used."""
    assert [bucket_of("orders.order", str(n)) for n in range(4)] == BUCKETS_OF_FOUR
    assert {bucket_of("orders.order", str(n)) for n in range(500)} == set(range(16))


BUCKETS_OF_FOUR = [14, 8, 2, 4]
