"""Hearing: how one listener is told of broadcasts, by itself, whatever the others do."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from core.errors import text_of
from core.events.catalog import EventCatalog, Undecodable
from core.events.limited import limited
from core.events.subscription import Delivery
from core.tracing import sane

if TYPE_CHECKING:
    from core.context import Context
    from core.events.event import Event
    from core.events.groups import Listener

log = structlog.get_logger("tessera.events")

HANDLER_SECONDS = 5.0
MOST_KEPT = 1000
"""Events that are kept for a listener; of what comes behind them only the numbers are."""
MOST_WAITING = 1_000_000
"""Numbers; of more it misses the oldest, or a listener that hangs would use up the memory."""
BATCH = 500
AGAIN_SECONDS = 0.5
Rows = Callable[[Sequence[int]], Awaitable[Sequence[Any]]]
"""Reads events of the outbox again, by their numbers and in that order. Raises Unavailable."""


class Hearing:
    """One listener's broadcasts in their order, each told once; a failure is logged."""

    def __init__(
        self, listener: Listener, *, catalog: EventCatalog, context: Context, rows: Rows
    ) -> None:
        self.types = listener.types
        self.module = listener.module
        self._listener = listener
        self._catalog = catalog
        self._context = context
        self._rows = rows
        self._kept: deque[Any] = deque()
        self._behind: deque[int] = deque()
        self._missing = self._leaving = False
        self._wake = asyncio.Event()

    def add(self, row: Any) -> None:
        """Let it be told of an event of the outbox, after those before."""
        if not self._behind and len(self._kept) < MOST_KEPT:
            self._kept.append(row)
        else:
            self._behind.append(row.seq)
            if len(self._behind) > MOST_WAITING:
                self._miss_the_oldest()
        self._wake.set()

    def _miss_the_oldest(self) -> None:
        self._behind.popleft()
        if not self._missing:
            log.error("a listener is too slow: it misses broadcasts", module=self.module)
        self._missing = True

    def leave(self) -> None:
        """End once it was told of all that was added."""
        self._leaving = True
        self._wake.set()

    async def run(self) -> None:
        """Tell what is added, until `leave` or a cancellation."""
        while True:
            while self._kept or self._behind:
                if not self._kept:
                    await self._catch_up()
                if self._kept:
                    await self._tell(self._kept.popleft())
            self._missing = False
            if self._leaving:
                return
            self._wake.clear()
            await self._wake.wait()

    async def _catch_up(self) -> None:
        """Read some of what only the numbers are known of."""
        numbers = [self._behind.popleft() for _ in range(min(BATCH, len(self._behind)))]
        try:
            self._kept.extend(await self._rows(numbers))
        except Exception as error:
            reason = text_of(error, for_operators=True)
            log.warning("broadcasts wait for the database", module=self.module, reason=reason)
            self._behind.extendleft(reversed(numbers))
            await asyncio.sleep(AGAIN_SECONDS)

    async def _tell(self, row: Any) -> None:
        try:
            event = self._readable(row)
            if event is not None:
                await self._call(row, event)
        except Undecodable as error:
            log.warning("a broadcast is unreadable", module=self.module, reason=str(error))
        except (Exception, SystemExit):  # a handler may raise anything
            log.exception("a broadcast failed", module=self.module, type=row.type)

    def _readable(self, row: Any) -> Event | None:
        wanted = {self._listener.subscription.event.event_type: self._listener}
        try:
            return self._catalog.lift(self._catalog.decode(row.type, row.payload), wanted)
        except Exception:
            raise
        except BaseException as error:  # an upcaster's: it ends nothing but this
            raise RuntimeError(f"{type(error).__name__}: {text_of(error)}") from error

    async def _call(self, row: Any, event: Event) -> None:
        trace = sane(json.loads(row.headers).get("traceparent"))
        delivery = Delivery(row.id, self.module, 1, row.created_at, self._context, trace)
        await limited(
            self._listener.subscription.handler,
            event,
            delivery,
            module=self.module,
            traceparent=trace,
            seconds=HANDLER_SECONDS,
        )
