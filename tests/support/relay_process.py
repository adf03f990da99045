"""A process that only relays: ``python relay_process.py SETTINGS [stay]``, the settings as JSON.

It ends when nothing is pending, and tells in one line of JSON how it went: how long each claim (the
statement that reads what is pending) took in ms (with what else the loop did meanwhile), how the
database plans it and how long it takes there, and the most memory that the process held in MiB.
With ``stay`` it goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from core.db.engine import Database
from core.events.bell import Bell
from core.events.runtime import EventRuntime
from core.settings import Settings

CLAIM = "FROM core_outbox"


class Claims:
    """Watches the statements of an engine."""

    def __init__(self, database: Database) -> None:
        self.milliseconds: list[float] = []
        self.first: tuple[str, Any] | None = None
        engine = database.reader.sync_engine
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)

    def _before(
        self, _: Any, __: Any, statement: str, parameters: Any, context: Any, *_more: Any
    ) -> None:
        context.began = time.perf_counter()

    def _after(
        self, _: Any, __: Any, statement: str, parameters: Any, context: Any, *_more: Any
    ) -> None:
        is_claim = statement.startswith("SELECT") and CLAIM in statement and "bucket" in statement
        if is_claim and parameters[-1] > 1:  # with a limit of 1 it only asks whether there is any
            self.milliseconds.append((time.perf_counter() - context.began) * 1000)
            self.first = self.first or (statement, parameters)


async def main(sections: dict[str, Any], *, stay: bool) -> dict[str, Any]:
    """Relay until nothing is pending, or for ever."""
    settings = Settings.for_tests(**sections)
    database = Database(settings.database)
    claims = Claims(database)
    runtime = EventRuntime(database, settings=settings.events, kafka=settings.kafka, bell=Bell())
    runtime.role = "worker"
    runtime.start()
    began = time.monotonic()
    try:
        while claims.first is None and await _is_any_pending(database):
            await asyncio.sleep(0.01)
        plan, executed = "", []
        while stay or await _is_any_pending(database):
            if not stay:
                explained = await _explained(database, claims)
                plan = plan or explained  # the first one, while most is pending still
                executed.append(float(explained.rpartition("Execution Time: ")[2].split()[0]))
            await asyncio.sleep(0.1)
        seconds = time.monotonic() - began
    finally:
        await runtime.stop()
        await database.close()
    told = {"claims": claims.milliseconds, "plan": plan, "executed": executed}
    return {**told, "mib": _peak_mib(), "seconds": seconds}


def _peak_mib() -> float:
    """The most that was held; getrusage would count what whoever started us held before."""
    [line] = [it for it in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in it]
    return int(line.split()[1]) / 1024


async def _is_any_pending(database: Database) -> bool:
    async with database.reader.connect() as connection:
        any_more = text("SELECT seq FROM core_outbox WHERE state = 'pending' LIMIT 1")
        return (await connection.execute(any_more)).first() is not None


async def _explained(database: Database, claims: Claims) -> str:
    assert claims.first is not None
    statement, parameters = claims.first
    async with database.reader.connect() as connection:
        rows = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE) {statement}", parameters)
        return "\n".join(row[0] for row in rows)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(json.loads(sys.argv[1]), stay="stay" in sys.argv))))
