"""Giving a group what came from a topic: inbox row, effect and order in one transaction.

Messages share a transaction, as many as fit into `TOGETHER_SECONDS`, since a commit costs more than
most effects. One that fails, or is slow, is left to the embedded consumer, which holds no partition
meanwhile; the others begin again without it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, takewhile
from typing import TYPE_CHECKING

import structlog

from core.errors import Unavailable
from core.events.failpoints import failpoint
from core.events.failure import reason_of

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.db.session import WritableSession
    from core.events.bell import Bell
    from core.events.handling import Handling
    from core.events.kafka.inbox import Inbox, Key
    from core.events.kafka.intake import Incoming
    from core.events.outage import Outage
    from core.settings import EventsSettings

log = structlog.get_logger("tessera.events")

TOGETHER_SECONDS = 0.1
"""How long a transaction of several messages is meant to take."""
MOST_TOGETHER = 50
SLOW_SECONDS = 1.0
"""After so long in a transaction a message is left to the embedded consumer."""
Going = Callable[[], bool]
"""Whether to go on; False once the partition is another's, or the consumer is to end."""


class Stuck(Exception):
    """One message of a transaction that has to wait: after an `error` of its own, or without."""

    def __init__(self, message: Incoming, error: BaseException | None) -> None:
        super().__init__(message.event_id)
        self.message = message
        self.error = error


class Chunk:
    """Messages that are not through yet, in their order; `stuck` are by offset those to be left."""

    def __init__(self, messages: Sequence[Incoming]) -> None:
        self.waiting = deque(messages)
        self.stuck: dict[int, BaseException | None] = {}
        self._alone = 0

    def part(self, most: int) -> list[Incoming]:
        """The first ones that may share a transaction; there is one that is not stuck."""
        free = takewhile(lambda it: it.offset not in self.stuck, self.waiting)
        part = [*islice(free, 1 if self._alone else most)]
        self._alone = max(0, self._alone - 1)
        return part

    def failed(self, part: Sequence[Incoming], error: BaseException | None) -> None:
        """The transaction failed as a whole: each goes by itself, to see which of them it was."""
        if len(part) == 1:
            self.stuck[part[0].offset] = error
        else:
            self._alone = len(part)


class Handover:
    """For one group in this process, whatever partition a message is of."""

    def __init__(
        self,
        handling: Handling,
        inbox: Inbox,
        *,
        database: Database,
        bell: Bell,
        outage: Outage,
        settings: EventsSettings,
        places: asyncio.Semaphore,
    ) -> None:
        """`places` are the transactions that all groups of the process may have at a time, those
        of the embedded consumers with them."""
        self._handling = handling
        self._inbox = inbox
        self._database = database
        self._bell = bell
        self._outage = outage
        self._settings = settings
        at_once = settings.concurrency if database.dialect == "postgresql" else 1
        self._slots = asyncio.Semaphore(at_once)
        self._places = places
        self._together = 8

    def chunks(self, messages: Sequence[Incoming]) -> Iterator[list[Incoming]]:
        """Whole aggregates put together, as many messages as are to share a transaction."""
        by_key: dict[Key, list[Incoming]] = {}
        for message in messages:
            by_key.setdefault(message.key, []).append(message)
        chunk: list[Incoming] = []
        for of_one in by_key.values():
            if chunk and len(chunk) + len(of_one) > self._together:
                yield chunk
                chunk = []
            chunk += of_one
        if chunk:
            yield chunk

    async def give(
        self, messages: Sequence[Incoming], *, going: Going, done: Callable[[Incoming], None]
    ) -> None:
        """Give a chunk; `done` is told of each that is through. What is not, comes again."""
        async with self._slots:
            chunk = Chunk(messages)
            while chunk.waiting and going():
                try:
                    async with self._places:
                        if not going():  # it may have waited long, and the partition be another's
                            break
                        through = await self._some_of(chunk)
                except Unavailable as error:  # the database: nothing can be noted anywhere
                    self._outage.met(error)
                    await asyncio.sleep(self._settings.poll_seconds)
                except Exception:
                    log.exception("a message cannot be kept", group=self._handling.group)
                    await asyncio.sleep(self._settings.poll_seconds)
                else:
                    for message in through:
                        chunk.waiting.popleft()
                        done(message)

    async def _some_of(self, chunk: Chunk) -> Sequence[Incoming]:
        """The first ones, handled or left to the embedded consumer; none after a failure, which
        says what to do next. Raises Unavailable when nothing can be left."""
        first = chunk.waiting[0]
        if first.offset in chunk.stuck:
            await self._leave(first, chunk.stuck[first.offset])
            return [first]
        part = chunk.part(self._together)
        began = time.monotonic()
        try:
            await self._in_one(part)
        except Stuck as one:
            chunk.stuck[one.message.offset] = one.error
        except Unavailable as error:
            self._outage.met(error)
            chunk.failed(part, None)
        except (Exception, SystemExit) as error:  # what only showed at the commit
            self._together = max(1, self._together // 2)
            chunk.failed(part, error)
        else:
            self._outage.over()
            self._learn(len(part), time.monotonic() - began)
            return part
        return []

    async def _in_one(self, messages: Sequence[Incoming]) -> None:
        """All in one transaction. Raises Stuck for one of them that fails or is slow."""
        left = handled = 0
        async with self._database.write() as session:
            fresh = await self._inbox.receive(session, [it.event_id for it in messages])
            parked = await self._inbox.parked(session, [*{it.key for it in messages}])
            until = time.monotonic() + SLOW_SECONDS
            for message in messages:
                if message.event_id not in fresh:
                    continue
                fresh.discard(message.event_id)  # it may come twice in one batch
                if self._is_left(message, parked):
                    parked.add(message.key)
                    left += 1
                    await self._inbox.park(session, message, message.error)
                else:
                    handled += 1
                    await self._handle(session, message, until - time.monotonic())
        failpoint("effect.committed")
        self._handling.counts.add("delivered", self._handling.group, handled)
        if left:
            self._bell.ring("due")

    def _is_left(self, message: Incoming, parked: set[Key]) -> bool:
        """Whether the embedded consumer does it: what waits for others, or what leaves the house.

        For that one its leases see to it that no two processes do it at a time.
        """
        event = message.event
        return message.key in parked or event is None or self._handling.goes_outside(event)

    async def _handle(self, session: WritableSession, message: Incoming, left: float) -> None:
        """Raises Stuck: without an error where it is slow, or waits for a server."""
        assert message.event is not None
        delivery = self._handling.delivery(
            message.event_id,
            attempt=1,
            recorded_at=message.recorded_at,
            traceparent=message.traceparent,
        )
        limit = asyncio.timeout(left)
        try:
            async with limit:
                await self._handling.inside(session, message.event, delivery)
        except Unavailable as error:
            self._outage.met(error)
            raise Stuck(message, None) from error
        except (Exception, SystemExit) as error:  # a handler may raise anything
            slow = isinstance(error, TimeoutError) and limit.expired()
            raise Stuck(message, None if slow else error) from error
        if not message.is_ours:
            await self._inbox.keep(session, message)

    async def _leave(self, message: Incoming, error: BaseException | None) -> None:
        """Leave it to the embedded consumer; with an `error` it has failed once."""
        async with self._database.write() as session:
            if not await self._inbox.receive(session, [message.event_id]):
                return  # somebody else has it meanwhile
            parked = await self._inbox.parked(session, [message.key])
            await self._inbox.park(session, message, None if message.key in parked else error)
        self._bell.ring("due")
        if error is not None:
            self._handling.counts.failed(self._handling.group, dead=self._settings.tries <= 1)
            log.warning(
                "a message failed, and will be tried again",
                group=self._handling.group,
                type=message.type,
                aggregate=message.aggregate_id,
                attempt=1,
                reason=reason_of(error),
            )

    def _learn(self, count: int, seconds: float) -> None:
        """How many may go together: what fits into the time, at most twice as many as now."""
        fitting = int(count * TOGETHER_SECONDS / max(seconds, 1e-6))
        self._together = max(1, min(fitting, self._together * 2, MOST_TOGETHER))
