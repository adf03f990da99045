"""A database that is away from those who deliver: where it was looked for, and why in vain."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers
from tests.support.apps import app_for
from tests.support.plants import Garden
from tests.support.postgres import private_server
from tests.support.processes import Installation

PASSWORD = "s3same"
WORK = ["the relay waits", "leases cannot be renewed", "broadcasts wait", "delivery waits"]


@pytest.mark.postgres
async def test_the_log_and_the_commands_say_which_database_is_away(
    garden: Garden, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each piece of work that waits names host, port and reason, as does a verb; no password."""
    tower, ledger = towers.plant(garden, outside=False)
    with private_server() as server:
        url = server.url.replace("tessera@", f"tessera:{PASSWORD}@")
        app = app_for(url, "tower", "ledger", events=towers.QUICK | {"lease_seconds": 10})
        await app.start()
        bells = Bells(app, url, tower, ledger)
        await bells.strike(1)
        await bells.effects(1)  # all of them are at work
        await asyncio.to_thread(server.stop)
        reason = f"127.0.0.1:{server.port}/postgres: Connection refused"
        await bells.until(lambda: all(told(caplog, it, reason) for it in WORK))
        place = Installation(tmp_path / "place", url)
        done = await asyncio.to_thread(place.run, "events", "status")
        assert (done.returncode, reason in done.stderr) == (1, True), done.stderr
        assert PASSWORD not in caplog.text + done.stderr
        await asyncio.to_thread(server.start)
        await app.stop()


def told(caplog: pytest.LogCaptureFixture, what: str, reason: str) -> bool:
    """Whether the log says that this waits for that reason."""
    return any(what in it and reason in it for it in caplog.messages)
