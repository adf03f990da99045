"""Giving a group what came from a topic: inbox row, effect and order in one transaction.

Messages share a transaction, as many as fit into `TOGETHER_SECONDS`, since a commit costs more than
most effects. When one of them fails, each begins again in a transaction of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
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
Going = Callable[[], bool]
"""Whether to go on; False once the partition is another's, or the consumer is to end."""


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
    ) -> None:
        self._handling = handling
        self._inbox = inbox
        self._database = database
        self._bell = bell
        self._outage = outage
        self._settings = settings
        at_once = settings.concurrency if database.dialect == "postgresql" else 1
        self._slots = asyncio.Semaphore(at_once)
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
            if not going():
                return
            try:
                for part in self._parts(messages):
                    await self._in_one(part)
                    for message in part:
                        done(message)
                self._outage.over()
                return
            except Unavailable as error:
                self._outage.met(error)
            except (Exception, SystemExit):  # told when it fails by itself
                self._together = max(1, self._together // 2)
            await self._one_by_one(messages, going=going, done=done)

    def _parts(self, messages: Sequence[Incoming]) -> Iterator[Sequence[Incoming]]:
        """What may share a transaction, by what the part before has taught."""
        while messages:
            part, messages = messages[: self._together], messages[self._together :]
            began = time.monotonic()
            yield part
            self._learn(len(part), time.monotonic() - began)

    async def _one_by_one(
        self, messages: Sequence[Incoming], *, going: Going, done: Callable[[Incoming], None]
    ) -> None:
        for message in messages:
            if not await self._until_given(message, going):
                return
            done(message)

    async def _until_given(self, message: Incoming, going: Going) -> bool:
        """Whether it is through: handled, or left to the embedded consumer; for ever if need be."""
        while going():
            try:
                await self._given(message)
            except Unavailable as error:  # the database: nothing can be noted anywhere
                self._outage.met(error)
            except Exception:
                log.exception("a message cannot be kept", group=self._handling.group)
            else:
                self._outage.over()
                return True
            await asyncio.sleep(self._settings.poll_seconds)
        return False

    async def _given(self, message: Incoming) -> None:
        """Handled, or left to the embedded consumer. Raises Unavailable."""
        try:
            await self._in_one([message])
        except Unavailable:  # no fault of the message: it may wait for ever, and others go on
            await self._leave(message, None)
        except (Exception, SystemExit) as error:  # a handler may raise anything
            await self._leave(message, error)

    async def _in_one(self, messages: Sequence[Incoming]) -> None:
        """All in one transaction."""
        left = handled = 0
        async with self._database.write() as session:
            fresh = await self._inbox.receive(session, [it.event_id for it in messages])
            parked = await self._inbox.parked(session, [*{it.key for it in messages}])
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
                    await self._handle(session, message)
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

    async def _handle(self, session: WritableSession, message: Incoming) -> None:
        assert message.event is not None
        delivery = self._handling.delivery(
            message.event_id,
            attempt=1,
            recorded_at=message.recorded_at,
            traceparent=message.traceparent,
        )
        await self._handling.inside(session, message.event, delivery)

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
