"""Broadcasts: every process is told of what was recorded, without inbox and without a second try.

Each process reads the outbox by itself, woken by the bell: what is new by its number at once, and
twice a second also what has a lower number than something it has seen, since the order of numbers
is not that of commits. It looks back `LOOK_BACK_SECONDS`; a transaction that takes longer from its
last statement to its commit is not heard of, which is why nothing but a cache may hang on it.
Each listener is told by itself (`Hearing`): a slow one, or one that fails, delays no other.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import bindparam, false, func, select, true

from core.errors import Unavailable, text_of
from core.events.catalog import EventCatalog
from core.events.hearing import Hearing
from core.events.tables import outbox

if TYPE_CHECKING:
    from core.context import Context
    from core.db.engine import Database
    from core.events.bell import Bell
    from core.events.groups import Listener

log = structlog.get_logger("tessera.events")

LOOK_SECONDS = 0.5
"""How often to look for what nobody announced, and for what was committed out of order."""
PAUSE_SECONDS = 0.02
"""At most fifty looks a second, however often the bell rings."""
LOOK_BACK_SECONDS = 15.0
IN_FLIGHT = 1000
"""Numbers below the newest one that may still be uncommitted when a process begins to listen."""
BATCH = 500

_o = outbox.c
_OF_TYPES = _o.type.in_(bindparam("types", expanding=True))
_NEWEST = select(func.max(_o.seq))
_NUMBERS = select(_o.seq).where(_o.seq > bindparam("floor"), _OF_TYPES)
# In one statement, so of one moment: what is not seen below the newest number was not committed.
_NUMBERS_AND_NEWEST = _NUMBERS.add_columns(false()).union_all(select(func.max(_o.seq), true()))
_ROWS = (
    select(_o.seq, _o.id, _o.type, _o.payload, _o.headers, _o.created_at)
    .where(_o.seq.in_(bindparam("seqs", expanding=True)))
    .order_by(_o.seq)
)


class Broadcaster:
    """Tells the listeners of one generation what happens, in this process."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        *,
        catalog: EventCatalog,
        contexts: Mapping[str, Context],
        database: Database,
        bell: Bell,
    ) -> None:
        self._hearings = [
            Hearing(it, catalog=catalog, context=contexts[it.module], rows=self._rows)
            for it in listeners
        ]
        self._database = database
        self._bell = bell
        self._types = sorted(frozenset().union(*(it.types for it in listeners)))
        self._seen: set[int] = set()
        self._floor = self._top = 0
        self._tops: deque[tuple[float, int]] = deque()
        self._begun = self._leaving = False
        self._look_back_at = 0.0

    def leave(self) -> None:
        """Begin nothing more."""
        self._leaving = True

    async def begin(self) -> None:
        """What is committed from now on is told. Raises Unavailable."""
        async with self._database.reader.connect() as connection:
            self._top = (await connection.execute(_NEWEST)).scalar() or 0
            self._floor = max(self._top - IN_FLIGHT, 0)
            self._tops.append((time.monotonic(), self._floor))
            values = {"floor": self._floor, "types": self._types}
            self._seen = set((await connection.execute(_NUMBERS, values)).scalars())
        self._begun = True

    async def run(self) -> None:
        """Work until `leave` or a cancellation; trouble is told and tried again, for ever."""
        tasks = [
            asyncio.create_task(it.run(), name=f"tessera-{it.module}-hearing")
            for it in self._hearings
        ]
        try:
            await self._look_around()
            for hearing in self._hearings:
                hearing.leave()
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_around(self) -> None:
        with self._bell.listening("recorded") as ear:
            while not self._leaving:
                try:
                    await (self.look() if self._begun else self.begin())
                except Unavailable as error:
                    reason = text_of(error, for_operators=True)
                    log.warning("broadcasts wait for the database", reason=reason)
                except Exception:
                    log.exception("broadcasts failed, and try again")
                await asyncio.sleep(PAUSE_SECONDS)
                await ear.wait(seconds=LOOK_SECONDS)

    async def look(self) -> int:
        """Hand on what is new; how many events that was. Raises Unavailable."""
        new = sorted(await self._new())
        for start in range(0, len(new), BATCH):
            for row in await self._rows(new[start : start + BATCH]):
                self._seen.add(row.seq)
                for hearing in self._hearings:
                    if row.type in hearing.types:
                        hearing.add(row)
        return len(new)

    async def _new(self) -> Collection[int]:
        now = time.monotonic()
        backwards = now >= self._look_back_at
        if backwards:
            self._look_back_at = now + LOOK_SECONDS
            self._forget(now)
        floor = self._floor if backwards else self._top
        async with self._database.reader.connect() as connection:
            values = {"floor": floor, "types": self._types}
            rows = (await connection.execute(_NUMBERS_AND_NEWEST, values)).all()
        # Of all types: what nobody listens to would be gone through again at each look.
        self._top = max(self._top, *(seq or 0 for seq, is_newest in rows if is_newest))
        return {seq for seq, is_newest in rows if not is_newest} - self._seen

    def _forget(self, now: float) -> None:
        """Raise the floor to what was the newest number `LOOK_BACK_SECONDS` ago."""
        self._tops.append((now, self._top))
        while len(self._tops) > 1 and self._tops[0][0] < now - LOOK_BACK_SECONDS:
            self._floor = max(self._floor, self._tops.popleft()[1])
        self._seen = {seq for seq in self._seen if seq > self._floor}

    async def _rows(self, seqs: Sequence[int]) -> Sequence[Any]:
        async with self._database.reader.connect() as connection:
            return (await connection.execute(_ROWS, {"seqs": seqs})).all()
