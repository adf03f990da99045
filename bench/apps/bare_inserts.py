"""Two inserts a message and nothing else: `bare_inserts COUNT TOGETHER` prints messages a second.

The sessions, the statements and the concurrency of the consumer; TOGETHER messages a transaction.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import insert, text

from core.db.engine import Database
from core.events.tables import inbox
from core.settings import DatabaseSettings, EventsSettings

EFFECT = text("INSERT INTO ledger_lines (event_id, at) VALUES (:event_id, clock_timestamp())")


async def main(count: int, together: int) -> None:
    """Write all of them."""
    database = Database(DatabaseSettings(url=os.environ["BENCH_DATABASE_URL"]))
    transactions = iter(range(count // together))
    began = time.perf_counter()
    try:
        at_once = EventsSettings().concurrency
        await asyncio.gather(*(_work(database, transactions, together) for _ in range(at_once)))
        print(count / (time.perf_counter() - began))
    finally:
        await database.close()


async def _work(database: Database, transactions: object, together: int) -> None:
    for _ in transactions:  # type: ignore[attr-defined]  # one iterator, shared by the workers
        async with database.write() as session:
            for _ in range(together):
                event_id = uuid4()
                row = {"group_name": "bare", "event_id": event_id, "received_at": datetime.now(UTC)}
                await session.exec(insert(inbox), params=row)
                await session.exec(EFFECT, params={"event_id": str(event_id)})  # type: ignore[call-overload]


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
