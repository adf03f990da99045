"""A consumer: gives one group its deliveries, each exactly once, those of an aggregate in order.

The delivery's row is deleted in the transaction of the effect, as its first statement: whoever
else has the same row in hand waits there and then finds it gone. So neither a lease that went in
the middle, nor two generations of one process side by side, can double an effect. A group's inbox
is what is no longer there.

Messages that never failed share a transaction, as many as fit into `TOGETHER_SECONDS`: a commit
costs more than most effects. When one of them fails it is put off, and the others begin again
without it, so a handler may be called once more than its effect is kept; those that failed before
go one by one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from core.errors import Unavailable, text_of
from core.events.due import BATCH, Due, Shelf
from core.events.failpoints import failpoint
from core.events.failure import LONGEST_BACKOFF, counted, put_off, wait_after
from core.events.outage import Outage
from core.events.rests import Key, Rests

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.db.session import WritableSession
    from core.events.bell import Bell, Ear
    from core.events.event import Event
    from core.events.handling import Handling
    from core.events.leases import Held, Leases
    from core.events.subscription import Delivery
    from core.settings import EventsSettings

log = structlog.get_logger("tessera.events")

GATHER_SECONDS = 0.01
"""After a round, so that what comes meanwhile goes together."""
TOGETHER_SECONDS = 0.1
"""How long a transaction of several messages is meant to take."""
SLOW_SECONDS = 1.0
"""After so long the messages of a transaction are parted: a slow one keeps no other waiting."""
MOST_TOGETHER = 50
RETREAT_SECONDS = 0.1
"""How long a key that somebody else had in hand is let alone."""
MOST_BATCHES = 10
"""Batches that are looked through for an aggregate that can be worked on."""


class Retreat(Exception):
    """Somebody else has one of these deliveries: nothing of the transaction may stay."""


class Failure(Exception):
    """A message failed among others."""

    def __init__(self, due: Due, cause: BaseException) -> None:
        super().__init__(text_of(cause))
        self.due = due
        self.cause = cause


class Consumer:
    """Serves the subscriptions of one module while its generation lives."""

    def __init__(
        self,
        handling: Handling,
        *,
        database: Database,
        leases: Leases,
        bell: Bell,
        settings: EventsSettings,
        outside: set[tuple[str, int]] | None = None,
        places: asyncio.Semaphore | None = None,
        on_wait: Callable[[Due, Unavailable], None] | None = None,
    ) -> None:
        """`outside` are the deliveries of this process, by group and number, whose handlers are at
        work outside of any transaction: two generations share it while one replaces the other.
        `places` are the transactions that all groups of the process may have at a time.
        `on_wait` is told of each message that is to wait for a server."""
        self.group = handling.group
        self._outside = set() if outside is None else outside
        self._places = places or asyncio.Semaphore(database.at_once)
        self._on_wait = on_wait or (lambda due, error: None)
        self._handling = handling
        self._database = database
        self._leases = leases
        self._bell = bell
        self._settings = settings
        self._shelf = Shelf(self.group, database, owner=leases.owner, patience=handling.longest + 5)
        self._at_once = settings.concurrency if database.dialect == "postgresql" else 1
        self._outage = Outage("a consumer", work="delivery", group=self.group)
        self._together = 8
        self._under_way: dict[asyncio.Task[int], list[Due]] = {}
        self._rests = Rests()
        self._ear: Ear | None = None
        self._leaving = False

    def leave(self) -> None:
        """Begin nothing more."""
        self._leaving = True

    async def run(self) -> None:
        """Work until `leave` or a cancellation, which rolls back what is under way."""
        with self._leases.wanting(self.group), self._bell.listening("due") as self._ear:
            try:
                while not self._leaving:
                    if await self._try_to_begin():
                        await asyncio.sleep(GATHER_SECONDS)
                    else:
                        await self._ear.wait(seconds=self._settings.poll_seconds)
                if self._under_way:
                    await asyncio.wait(self._under_way)
            finally:
                await self._end()

    async def _end(self) -> None:
        tasks = [*self._under_way]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _try_to_begin(self) -> bool:
        """Whether anything was begun; trouble is told and tried again, for ever."""
        try:
            return await self._begin_what_is_due() > 0
        except Unavailable as error:
            self._outage.met(error)
        except Exception:
            log.exception("a consumer failed, and tries again", group=self.group)
        return False

    async def round(self) -> int:
        """Deliver by hand what is due, and wait for it; how many deliveries were made."""
        made = 0
        while await self._begin_what_is_due():
            made += sum(await asyncio.gather(*self._under_way))
        return made

    async def _begin_what_is_due(self) -> int:
        """Begin as many chunks as there is room for; a slow one keeps no other key waiting."""
        free = self._at_once - len(self._under_way)
        if free <= 0:
            return 0
        held = self._leases.held(self.group)
        chunks = [*islice(self._chunks(await self._due_by_key(held)), free)]
        for chunk in chunks:
            task = asyncio.create_task(self._chunk(chunk, held), name=f"tessera-{self.group}")
            self._under_way[task] = chunk
            task.add_done_callback(self._ended)
        return len(chunks)

    async def _due_by_key(self, held: Held) -> Iterable[list[Due]]:
        """What is due of each aggregate of which nothing is under way, nor rests.

        However many wait in vain (for a mail server, say), what comes behind them has its turn.
        """
        out = {due.key for chunk in self._under_way.values() for due in chunk}
        out |= self._rests.now()
        by_key: dict[Key, list[Due]] = {}
        after = -1
        for _ in range(MOST_BATCHES):
            found = await self._shelf.due(held, after=after)
            for due in found:
                if due.key not in out:
                    by_key.setdefault(due.key, []).append(due)
            if len(found) < BATCH or not all(map(self._rests.last, by_key)):
                break
            after = found[-1].seq  # one slow aggregate may fill a batch, or many in vain
        for dues in by_key.values():
            dues.sort(key=lambda due: due.aggregate_version)
        # Those first that were never tried in vain, then those that wait the longest.
        return sorted(by_key.values(), key=lambda dues: self._rests.last(dues[0].key))

    def _ended(self, task: asyncio.Task[int]) -> None:
        """Another may begin."""
        self._under_way.pop(task, None)
        if self._ear is not None:
            self._ear.wake()
        if task.cancelled():
            return
        if error := task.exception():
            log.error("a consumer failed, and tries again", group=self.group, exc_info=error)
        elif task.result() and not self._rests.waits_for_a_server():
            self._outage.over()

    def _waits(self, dues: Sequence[Due], error: Unavailable) -> None:
        """No fault of the messages: they may wait for ever. Told once, not for each of them."""
        self._outage.met(error)
        for due in dues:
            self._rest(due, self._settings.poll_seconds)
            self._on_wait(due, error)

    def _is_alone(self, due: Due, error: Unavailable) -> bool:
        """Whether a server has put off this message and takes others: only that tells."""
        counts = self._handling.counts
        return error.only_this and counts.has_delivered_since(due.recorded_at, self.group)

    async def _let_alone(self, due: Due, error: Unavailable) -> None:
        """Note that it waits for its next try, without counting one: then it is not due."""
        seconds = min(error.retry_after, LONGEST_BACKOFF)
        noted = put_off(error, seconds=seconds)
        await self._shelf.note(due, noted)
        self._rest(due, seconds, put_off=True)
        self._on_wait(due, error)
        log.info("one is put off", group=self.group, reason=noted["last_error"], **due.named)

    def _rest(self, due: Due, seconds: float, *, put_off: bool = False) -> None:
        self._rests.add(due.key, seconds, put_off=put_off)
        self._look_again(seconds)

    def _chunks(self, keys: Iterable[list[Due]]) -> Iterator[list[Due]]:
        """Keys put together, as many messages as are to share a transaction; what a key has beyond
        that waits for the next, since one that took too long would be rolled back for ever."""
        chunk: list[Due] = []
        for of_one in keys:
            if of_one[0].attempts:
                yield of_one
                continue
            dues = of_one[: self._together]
            if chunk and len(chunk) + len(dues) > self._together:
                yield chunk
                chunk = []
            chunk += dues
        if chunk:
            yield chunk

    async def _chunk(self, dues: list[Due], held: Held) -> int:
        """Deliver what can be; how many that were."""
        try:
            if len(dues) == 1 or dues[0].attempts:
                return await self._one_by_one(dues, held)
            return await self._all_at_once(dues, held)
        except Unavailable as error:  # that a failure could not be noted is no failure of its own
            self._waits(dues, error)
            return 0

    async def _one_by_one(self, dues: Sequence[Due], held: Held) -> int:
        """Later ones of an aggregate wait when one was not delivered."""
        made = 0
        stuck: set[tuple[str, str]] = set()
        for due in dues:
            if self._leaving:
                break
            if due.key in stuck:
                continue
            if await self._made(due, held):
                made += 1
            else:
                stuck.add(due.key)
        return made

    async def _all_at_once(self, dues: Sequence[Due], held: Held) -> int:
        """In one transaction; without those that fail, and what comes after them."""
        while dues and not self._leaving:
            try:
                return await self._deliver_all(dues, held)
            except Failure as failure:
                failed = failure.due
                await self._put_off(failed, failure.cause)
                dues = [due for due in dues if due.key != failed.key or _is_before(due, failed)]
            except TimeoutError:  # something slow is among them: each is to go by itself
                self._together = 1
                return 0
            except (Exception, SystemExit):  # Retreat, or what only showed at the commit
                self._together = max(1, self._together // 2)
                return await self._one_by_one(dues, held)
        return 0

    async def _deliver_all(self, dues: Sequence[Due], held: Held) -> int:
        ready = [self._ready(due) for due in dues]
        if any(self._handling.goes_outside(event) for event, _ in ready):
            return await self._one_by_one(dues, held)
        async with self._places:
            began = time.monotonic()
            async with asyncio.timeout(SLOW_SECONDS), self._database.write() as session:
                if not await self._shelf.take(session, dues, held):
                    raise Retreat
                for due, (event, delivery) in zip(dues, ready, strict=True):
                    await self._handle_one_of_many(session, due, event, delivery)
            self._learn(len(dues), time.monotonic() - began)
        failpoint("effect.committed")
        self._handling.counts.add("delivered", self.group, len(dues))
        return len(dues)

    def _ready(self, due: Due) -> tuple[Event, Delivery]:
        try:
            event = self._handling.readable(due.event_type, due.payload)
        except Unavailable:
            raise
        except Exception as error:
            raise Failure(due, error) from error
        delivery = self._handling.delivery(
            due.event_id,
            attempt=due.attempts + 1,
            recorded_at=due.recorded_at,
            traceparent=due.traceparent,
        )
        return event, delivery

    async def _handle_one_of_many(
        self, session: WritableSession, due: Due, event: Event, delivery: Delivery
    ) -> None:
        try:
            await self._handling.inside(session, event, delivery)
        except Unavailable:
            raise
        except (Exception, SystemExit) as error:  # a handler may raise anything
            raise Failure(due, error) from error

    def _learn(self, count: int, seconds: float) -> None:
        """How many may go together: what fits into the time, at most twice as many as now."""
        fitting = int(count * TOGETHER_SECONDS / max(seconds, 1e-6))
        self._together = max(1, min(fitting, self._together * 2, MOST_TOGETHER))

    async def _made(self, due: Due, held: Held) -> bool:
        """Whether this call delivered it."""
        try:
            try:
                return await self._deliver(due, held)
            except Unavailable as error:
                if not self._is_alone(due, error):
                    raise
                await self._let_alone(due, error)
            except Failure as failure:
                await self._put_off(due, failure.cause)
            except (Exception, SystemExit) as error:
                await self._put_off(due, error)
        except Unavailable as error:
            self._waits([due], error)
        return False

    async def _deliver(self, due: Due, held: Held) -> bool:
        event, delivery = self._ready(due)
        if not self._handling.goes_outside(event):
            return await self._deliver_inside(due, held, event, delivery)
        hand = (self.group, due.seq)
        if hand in self._outside:
            self._rest(due, RETREAT_SECONDS)
            return False
        self._outside.add(hand)
        try:
            with self._leases.using(self.group, due.bucket):
                # The batch may have been read a while ago.
                mine = due.bucket in self._leases.held(self.group)
                if not mine or not await self._shelf.is_there(due):
                    self._rest(due, RETREAT_SECONDS)
                    return False
                await self._handling.outside(event, delivery)
                return await self._deliver_inside(due, held, event, delivery)
        finally:
            self._outside.discard(hand)

    async def _deliver_inside(self, due: Due, held: Held, event: Event, delivery: Delivery) -> bool:
        try:
            async with self._places:
                began = time.monotonic()
                async with self._database.write() as session:
                    if not await self._shelf.take(session, [due], held):
                        raise Retreat
                    await self._handling.inside(session, event, delivery)
        except Retreat:
            self._rest(due, RETREAT_SECONDS)
            return False
        self._learn(1, time.monotonic() - began)  # or one slow message would part them for ever
        failpoint("effect.committed")
        self._handling.counts.add("delivered", self.group)
        return True

    async def _put_off(self, due: Due, error: BaseException) -> None:
        """Count a failure of the message itself; the last one makes it a dead letter."""
        noted = counted(error, attempts=due.attempts, settings=self._settings)
        await self._shelf.note(due, noted)
        dead = noted["state"] == "dead"
        self._look_again(wait_after(due.attempts, self._settings))
        self._handling.counts.failed(self.group, dead=dead)
        told = log.error if dead else log.warning
        told(
            "a message is dead" if dead else "a message failed, and will be tried again",
            group=self.group,
            **due.named,
            attempt=noted["attempts"],
            reason=noted["last_error"],
        )

    def _look_again(self, seconds: float) -> None:
        if self._ear is not None:
            asyncio.get_running_loop().call_later(seconds, self._ear.wake)


def _is_before(one: Due, other: Due) -> bool:
    """In the order of their aggregate, which need not be that of their numbers."""
    return one.aggregate_version < other.aggregate_version
