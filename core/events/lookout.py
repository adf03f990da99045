"""The backlog as one process knows it: asked for at most every few seconds, however many ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from core.errors import Unavailable, text_of
from core.events import backlog
from core.events.backlog import Backlog, Lag

if TYPE_CHECKING:
    from core.db.engine import Database
    from core.settings import KafkaSettings

log = structlog.get_logger("tessera.events")

FRESH_SECONDS = 5.0
"""How long an answer of the database is good enough for whoever asks next."""
ASK_SECONDS = 2.0
LEAVE_SECONDS = 1.0
BROKER_SECONDS = 0.3
"""How long whoever looks waits for the broker: a probe has a second, and needs no broker."""
LAG_FRESH_SECONDS = 15.0
LAG_STALE_SECONDS = 60.0
"""A lag that is older than this is not told any more: the broker does not answer."""


class Lookout:
    """One a process."""

    def __init__(self, database: Database, *, kafka: KafkaSettings) -> None:
        self._database = database
        self._kafka = kafka
        self._asking = asyncio.Lock()
        self._seen: tuple[Backlog, ...] = ()
        self._seen_at = -FRESH_SECONDS
        self._lag: Mapping[str, Lag] = {}
        self._behind_since: dict[str, datetime] = {}
        self._lag_at = -LAG_STALE_SECONDS
        self._lag_asked_at = -LAG_FRESH_SECONDS
        self._asking_lag: asyncio.Task[None] | None = None
        self._broker: dict[str, str] = {"status": "unknown"}
        self._broker_at = -FRESH_SECONDS
        self._asking_broker: asyncio.Task[None] | None = None

    async def look(self) -> tuple[Backlog, ...]:
        """The relay's backlog and then each group's. Raises Unavailable."""
        async with self._asking:
            if time.monotonic() - self._seen_at >= FRESH_SECONDS:
                self._seen = await self._ask()
                self._seen_at = time.monotonic()
        if self._kafka.bootstrap_servers:
            self._ask_for_lag()
            return self._with_lag()
        return self._seen

    async def broker(self) -> dict[str, str]:
        """Whether Kafka answers: ``{"status": "ok"}``, or what it last was, and the reason."""
        asking = self._asking_broker
        if asking is None or asking.done():
            if time.monotonic() - self._broker_at < FRESH_SECONDS:
                return self._broker
            asking = asyncio.create_task(self._note_broker(), name="tessera-broker")
            self._asking_broker = asking
        await asyncio.wait([asking], timeout=BROKER_SECONDS)
        return self._broker

    async def _note_broker(self) -> None:
        try:
            await ping(self._kafka)
        except Unavailable as error:
            self._broker = {"status": "down", "reason": str(error)}
        else:
            self._broker = {"status": "ok"}
        finally:
            self._broker_at = time.monotonic()

    async def _ask(self) -> tuple[Backlog, ...]:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                relay, groups = await backlog.status(self._database)
        except TimeoutError:
            raise Unavailable(f"no answer within {ASK_SECONDS:.0f} s") from None
        return relay, *groups

    def _with_lag(self) -> tuple[Backlog, ...]:
        if time.monotonic() - self._lag_at > LAG_STALE_SECONDS:
            return self._seen
        return tuple(self._and_lag(it) for it in self._seen)

    def _and_lag(self, backlog: Backlog) -> Backlog:
        """With the lag, and overdue also since the group has been given nothing of it."""
        moments = [backlog.due_since, self._behind_since.get(backlog.name)]
        since = min((it for it in moments if it is not None), default=None)
        lag = self._lag.get(backlog.name)
        return replace(backlog, lag=lag.behind if lag else None, due_since=since)

    def _ask_for_lag(self) -> None:
        """Begin to ask the broker, beside: whoever looks does not wait for it."""
        asking = self._asking_lag is not None and not self._asking_lag.done()
        if asking or time.monotonic() - self._lag_asked_at < LAG_FRESH_SECONDS:
            return
        self._lag_asked_at = time.monotonic()
        self._asking_lag = asyncio.create_task(self._note_lag(), name="tessera-lag")

    async def _note_lag(self) -> None:
        try:
            lag = await lag_of(self._database, self._kafka)
        except Unavailable as error:
            reason = text_of(error, for_operators=True)
            log.debug("how far the groups are behind is not known", reason=reason)
        except Exception:
            log.exception("asking how far the groups are behind failed")
        else:
            self._compare(lag)
            self._lag, self._lag_at = lag, time.monotonic()

    def _compare(self, lag: Mapping[str, Lag]) -> None:
        """Note who gets nothing: behind, and given no more than at the last look.

        The lag alone does not tell: that of a busy group is a little more or less at each look.
        """
        now = datetime.now(UTC)
        for group, found in lag.items():
            before = self._lag.get(group, found)
            if found.behind == 0:
                self._behind_since.pop(group, None)
            elif found.given != before.given:
                self._behind_since[group] = now
            else:
                self._behind_since.setdefault(group, now)

    async def close(self) -> None:
        """Ask no more; a question under way may end, one that is cancelled leaves a connection."""
        asking = [it for it in (self._asking_lag, self._asking_broker) if it is not None]
        if asking:
            await asyncio.wait(asking, timeout=LEAVE_SECONDS)
            for it in asking:
                it.cancel()
            await asyncio.gather(*asking, return_exceptions=True)


async def ping(kafka: KafkaSettings) -> None:
    """Raises Unavailable when the broker does not answer."""
    from core.events.kafka.ping import ping
    from core.events.kafka.trouble import BrokerTrouble

    try:
        await ping(kafka)
    except BrokerTrouble as error:
        raise Unavailable(str(error)) from error


async def lag_of(database: Database, kafka: KafkaSettings) -> dict[str, Lag]:
    """By group how far it has come on its topics. Raises Unavailable."""
    from core.events.kafka.lag import lag
    from core.events.kafka.trouble import BrokerTrouble

    try:
        return await lag(kafka, await backlog.publishers(database))
    except BrokerTrouble as error:
        raise Unavailable(str(error)) from error
