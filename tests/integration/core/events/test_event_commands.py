"""``tessera events``: as an operator uses it, on both databases."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from core.app import Tessera
from core.events.tables import inbox
from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers
from tests.support.apps import settings_for
from tests.support.plants import Garden, minimal
from tests.support.processes import Installation


@pytest.fixture
def command(bells: Bells, garden: Garden, tmp_path: Path) -> Any:
    """Runs a verb beside the running application; (exit code, output, one line of complaint)."""
    place = Installation(
        tmp_path / "place",
        bells.url,
        **{"modules.tower": {"enabled": True}, "modules.ledger": {"enabled": True}},
    )
    place.environ["PYTHONPATH"] = str(garden.folder)

    async def run(*words: str) -> tuple[int, str, str]:
        import asyncio

        done = await asyncio.to_thread(place.run, "events", *words)
        return done.returncode, done.stdout, done.stderr

    return run


async def test_what_failed_is_shown_and_mended(bells: Bells, command: Any) -> None:
    """status and failed tell of a dead letter, retry and discard mend it, wrong use is refused."""
    bells.goes_wrong(1, ValueError("the ink is dry"))
    await bells.strike(1, 1)
    [letter] = await bells.dead(1)
    code, out, _ = await command("status", "--json")
    [group] = json.loads(out)["groups"]
    assert (code, group["name"], group["waiting"], group["dead"]) == (0, "ledger", 1, 1)
    code, out, _ = await command("failed")
    assert code == 1
    assert "1 wait behind it" in out
    assert "ValueError: the ink is dry" in out
    code, _, wrong = await command("retry", "ledger", "99999")
    assert (code, wrong.count("\n")) == (1, 1)
    code, _, _ = await command("retry", "ledger")
    assert code == 2
    code, _, wrong = await command("retry", "nobody", "--all")
    assert (code, "no group 'nobody'" in wrong) == (1, True)
    bells.ledger.BAD.clear()
    code, out, _ = await command("retry", "ledger", str(letter.number))
    assert (code, "1 dead letters to be tried again" in out) == (0, True)
    assert await bells.effects(2) == [(1, 1), (1, 2)]
    code, out, _ = await command("failed", "--json")
    assert (code, json.loads(out)) == (0, [])


async def test_replay_and_prune(bells: Bells, command: Any) -> None:
    """A replay rebuilds what the group made; after a prune it is refused in one line."""
    await bells.strike(1, 2)
    before = await bells.effects(2)
    code, out, said = await command("replay", "--group", "ledger")
    assert (code, "2 events are delivered again" in out) == (0, True), said
    await bells.until(lambda: towers.waiting(bells.url) == (0, 0))
    assert sorted(towers.lines(bells.url)) == sorted(before)
    code, out, _ = await command("prune", "--days", "0")
    assert (code, out.startswith("2 events from before")) == (0, True)
    code, _, wrong = await command("replay", "--group", "ledger")
    assert (code, "were pruned" in wrong, wrong.count("\n")) == (1, True, 1)
    code, _, wrong = await command("replay", "--group", "tower")
    assert (code, "no enabled module 'tower' subscribes" in wrong) == (1, True)


async def test_prune_says_what_it_keeps_in_case_of_kafka(bells: Bells, command: Any) -> None:
    """Without a broker old notes of what groups have received are kept, and counted; told that none
    is put back, `prune` deletes them."""
    await bells.strike(1, 2)
    await bells.effects(2)
    await command("replay", "--group", "ledger")  # which notes them
    old = datetime.now(UTC) - timedelta(days=30)
    async with bells.database.write() as session:
        await session.exec(update(inbox).values(received_at=old))
    code, out, _ = await command("prune")
    assert (code, "\n0 notes of" in out, "2 are kept, should Kafka be" in out) == (0, True, True)
    code, out, _ = await command("prune", "--anyway")
    assert (code, "\n2 notes of" in out, "kept" in out) == (0, True, False)


UNDECLARED = """
class Hidden(Event, type="good.thing_done.v1", aggregate="thing", key="id"):
    id: int

async def act(session, event, delivery): ...

@hookimpl
def subscriptions():
    return [on(Hidden, act)]
"""
FOREIGN = (
    UNDECLARED
    + """
@hookimpl
def events():
    return [Hidden]
"""
)
TWICE = """
class One(Event, type="bad.thing_done.v1", aggregate="thing", key="id"):
    id: int

class Two(Event, type="bad.thing_done.v1", aggregate="thing", key="id"):
    id: int

@hookimpl
def events():
    return [One, Two]
"""
LOSSY = """
from pydantic import SecretStr

class Told(Event, type="bad.thing_told.v1", aggregate="thing", key="id"):
    id: int
    token: SecretStr
"""
LOSSY_LATER = """
from pydantic import BaseModel, Field

class Told(Event, type="bad.thing_told.v1", aggregate="thing", key="id"):
    id: int
    part: "Part"

class Part(BaseModel):
    name: str = Field(exclude=True)

@hookimpl
def events():
    return [Told]
"""


@pytest.mark.parametrize(
    ("body", "manifest", "reason"),
    [
        (UNDECLARED, "requires=('good',)", "which 'good' does not declare"),
        (UNDECLARED, "", "without requiring 'good'"),
        (FOREIGN, "", "does not start with 'bad.'"),
        (TWICE, "", "One and Two are both the event type 'bad.thing_done.v1'"),
        (LOSSY, "", "Told: its field token is a SecretStr, of which only asterisks are written"),
        (LOSSY_LATER, "", "Told: its field part.name has exclude, so that it is not written"),
        ("@hookimpl\ndef subscriptions():\n    return [print]", "", "not a list of Subscription"),
        ("@hookimpl\ndef events():\n    return [dict]", "", "not a list of Event classes"),
    ],
)
async def test_what_is_declared_wrongly_fails_its_module_alone(
    garden: Garden, sqlite_url: str, body: str, manifest: str, reason: str
) -> None:
    """Events and subscriptions that cannot be are the module's reason; the others serve."""
    garden.plant("good", minimal("good"))
    garden.plant("bad", minimal("bad", body, manifest=manifest))
    app = Tessera(settings_for(sqlite_url, "good", "bad"), migrate=True)
    await app.start()
    try:
        assert app.generation.registry["good"].state == "enabled"
        assert app.generation.registry["bad"].state == "failed"
        assert reason in app.generation.registry["bad"].reason
    finally:
        await app.stop()
