"""A process that only relays: ``python relay_process.py SETTINGS [stay]``, the settings as JSON.

It ends when nothing is pending, and tells in one line of JSON how it went: how long each claim (the
statement that reads what is pending, a whole batch) took in ms (with what else the loop did
meanwhile), how the database plans it and how long it takes there, and the most memory that the
process held in MiB. With ``stay`` it goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from core.db.engine import Database
from core.events.bell import Bell
from core.events.relay import BATCH
from core.events.runtime import EventRuntime
from core.settings import Settings

CLAIM = "FROM core_outbox"
LIMIT = re.compile(r"LIMIT \$(\d+)")


def limit_of(statement: str, parameters: Sequence[Any]) -> int:
    """How many rows a statement asks for at most: its parameters' order is not that of its text."""
    [number] = LIMIT.findall(statement)
    return int(parameters[int(number) - 1])


def whole_batch(settings: Settings) -> int:
    """How many events a relay claims at once when there are many."""
    if settings.kafka.bootstrap_servers:
        from core.events.kafka.stream import BATCH as SENT  # its client takes memory

        return SENT
    return BATCH


class Claims:
    """Watches the statements of an engine: those that claim a whole batch."""

    def __init__(self, database: Database, *, whole: int) -> None:
        """With a smaller limit than `whole` a relay asks whether there is any, or feels its way."""
        self.milliseconds: list[float] = []
        self.first: tuple[str, Any] | None = None
        self.limits: Counter[int] = Counter()
        self._whole = whole
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
        took = (time.perf_counter() - context.began) * 1000
        if not (statement.startswith("SELECT") and CLAIM in statement and "bucket" in statement):
            return
        limit = limit_of(statement, parameters)
        self.limits[limit] += 1
        if limit == self._whole:
            self.milliseconds.append(took)
            self.first = self.first or (statement, parameters)


async def main(sections: dict[str, Any], *, stay: bool) -> dict[str, Any]:
    """Relay until nothing is pending, or for ever."""
    settings = Settings.for_tests(**sections)
    database = Database(settings.database)
    claims = Claims(database, whole=whole_batch(settings))
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
    told["limits"] = dict(claims.limits)
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
