"""Topics: made where they are missing, with the partitions that the settings say.

A topic that is there stays as it is: with more partitions a key would move to another one, and
its events could overtake each other. One that cannot be made, or written to, waits by itself: it is
told of, and tried again, and keeps nobody from the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code

from core.events.kafka.client import options, topic_of
from core.events.kafka.trouble import AWAY, BrokerTrouble, trouble
from core.events.outage import Outage

if TYPE_CHECKING:
    from core.settings import KafkaSettings

log = structlog.get_logger("tessera.events")


class Waiting:
    """Topics with which something cannot be done just now; tried again every so many seconds."""

    def __init__(self, who: str, *, again_seconds: float) -> None:
        self._who = who
        self._again_seconds = again_seconds
        self._until: dict[str, float] = {}
        self._outages: dict[str, Outage] = {}

    def met(self, name: str, error: BaseException) -> None:
        """That one has to wait, or still has to."""
        self._until[name] = time.monotonic() + self._again_seconds
        self._outages.setdefault(name, Outage(self._who, topic=name)).met(error)

    def over(self, names: Iterable[str]) -> None:
        """It goes on with these, whether they had to wait or not."""
        for name in self._outages.keys() & names:
            del self._until[name]
            self._outages.pop(name).over()

    def now(self) -> set[str]:
        """Those that it is too early to try again."""
        moment = time.monotonic()
        return {name for name, until in self._until.items() if until > moment}


class Topics:
    """Those of one process; each is asked for until it is known to be there."""

    def __init__(self, settings: KafkaSettings, *, again_seconds: float) -> None:
        self._settings = settings
        self._known: set[str] = set()
        self._missing = Waiting("the making of a topic", again_seconds=again_seconds)
        self._refusing = Waiting("the relay", again_seconds=again_seconds)
        self._one_at_a_time = asyncio.Lock()

    def forget(self) -> None:
        """Look again for all of them: one may have been deleted."""
        self._known.clear()

    def waiting(self) -> set[str]:
        """Those to which nothing is to be sent just now."""
        return self._missing.now() | self._refusing.now()

    def refused(self, name: str, error: BaseException) -> None:
        """Nothing may be written there."""
        self._refusing.met(name, trouble(error, doing="sending to Kafka"))

    def took(self, names: Iterable[str]) -> None:
        """Something was written there."""
        self._refusing.over(names)

    async def ready(self, names: Collection[str]) -> set[str]:
        """Make those that are missing, and tell which are there. Raises BrokerTrouble."""
        if not self._known.issuperset(set(names) - self._missing.now()):
            async with self._one_at_a_time:
                missing = sorted(set(names) - self._known - self._missing.now())
                await self._look_for(missing)
        return self._known.intersection(names)

    async def _look_for(self, names: list[str]) -> None:
        try:
            async with asyncio.timeout(self._settings.send_seconds):
                failed = await self._make(names) if names else {}
        except AWAY as error:
            raise trouble(error, doing=f"making the topics {', '.join(names)}") from error
        for name, reason in failed.items():
            self._missing.met(name, trouble(reason, doing="making it"))
        there = set(names) - failed.keys()
        self._missing.over(there)
        self._known |= there

    async def _make(self, names: list[str]) -> dict[str, Exception]:
        """Those that the broker refuses to make, with the reason."""
        admin = AIOKafkaAdminClient(**options(self._settings))
        try:
            await admin.start()
            there = set(await admin.list_topics())
            wanted = [self._new(name) for name in names if name not in there]
            failed = _failed(await admin.create_topics(wanted)) if wanted else {}
            if made := [it.name for it in wanted if it.name not in failed]:
                log.info("topics were made", topics=made)
            return failed
        finally:
            await admin.close()

    def _new(self, name: str) -> NewTopic:
        copies = self._settings.replication_factor
        return NewTopic(
            name,
            num_partitions=self._settings.partitions,
            replication_factor=copies,
            # aiokafka takes the broker's own number only together with a list of replicas.
            replica_assignments={} if copies == -1 else None,
        )


class TopicMaker:
    """Makes the topics of a generation's publishers when it begins, however long that takes."""

    def __init__(
        self, topics: Topics, modules: Collection[str], *, kafka: KafkaSettings, poll_seconds: float
    ) -> None:
        self._topics = topics
        self._names = [topic_of(kafka, module) for module in modules]
        self._poll_seconds = poll_seconds
        self._outage = Outage("the making of topics")
        self._left = asyncio.Event()

    def leave(self) -> None:
        """Try no more."""
        self._left.set()

    async def run(self) -> None:
        """Work until they are there, or until `leave` or a cancellation."""
        while not self._left.is_set():
            try:
                there = await self._topics.ready(self._names)
            except BrokerTrouble as error:
                self._outage.met(error)
            else:
                self._outage.over()
                if there.issuperset(self._names):
                    return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._left.wait()


def _failed(response: object) -> dict[str, Exception]:
    found: dict[str, Exception] = {}
    for name, code, *said in response.topic_errors:  # type: ignore[attr-defined]  # no types
        kind = for_code(code)
        if kind not in (NoError, TopicAlreadyExistsError):
            found[name] = kind(*filter(None, said[:1]))
    return found
