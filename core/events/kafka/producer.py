"""The producer of one process: waits for every acknowledgement, and for none of them for ever.

aiokafka's idempotent producer tries a batch until it is through or refused: while the broker is
away neither `send` nor `stop` ends (aiokafka #1101). So each has a time limit, and a producer that
has failed once in any way is given up for a new one; whatever it had in hand is sent again, and is
passed by where it had arrived. After a batch that was refused it could not be used anyway: its
numbers have a gap, and the broker takes nothing more for that partition.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

from core.events.failpoints import failpoint
from core.events.kafka.client import options
from core.events.kafka.trouble import AWAY, BrokerTrouble, is_of_a_topic, is_own, trouble

if TYPE_CHECKING:
    from core.settings import KafkaSettings

log = structlog.get_logger("tessera.events")

BATCH_BYTES = 64 * 1024
"""Of one partition; a larger message is sent by itself."""
STOP_SECONDS = 2.0


class Message(NamedTuple):
    """What is sent; `number` says to its sender which one it was."""

    number: int
    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


class Producer:
    """Connects when it is first used, and again after each failure."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client: AIOKafkaProducer | None = None

    async def send(self, messages: Sequence[Message]) -> dict[int, BaseException]:
        """Send all at once and wait for the acknowledgements; gives the refusals by number.

        A message is refused only for what it is itself, or for its topic. Raises Interrupted when
        the broker is away: what it names as acknowledged has arrived, of the rest nobody knows.
        """
        refused = await self._tried(messages) if messages else {}
        if refused:
            await self.give_up()
        if len(messages) == 1 or not refused:
            return refused
        # A batch is refused as a whole: whose fault it was shows when each goes by itself.
        arrived = [it.number for it in messages if it.number not in refused]
        guilty = {number: it for number, it in refused.items() if is_of_a_topic(it)}
        for message in messages:
            if message.number in refused and message.number not in guilty:
                guilty |= (told := await self._alone(message, arrived))
                if not told:
                    arrived.append(message.number)
        return guilty

    async def _alone(self, message: Message, arrived: list[int]) -> dict[int, BaseException]:
        try:
            return await self.send([message])
        except Interrupted as error:
            raise Interrupted(str(error), [*arrived, *error.acknowledged]) from error

    async def _tried(self, messages: Sequence[Message]) -> dict[int, BaseException]:
        """Raises Interrupted for anything but an own fault or a topic's, and gives up then."""
        refused: dict[int, BaseException] = {}
        shut: dict[str, BaseException] = {}
        futures: dict[int, asyncio.Future[Any]] = {}
        try:
            async with asyncio.timeout(self._settings.send_seconds):
                client = await self._connected()
                for message in messages:
                    if message.topic in shut:  # each would ask the broker again for the topic
                        refused[message.number] = shut[message.topic]
                        continue
                    try:
                        futures[message.number] = await client.send(
                            message.topic, message.value, message.key, headers=message.headers
                        )
                    except Exception as error:
                        if is_of_a_topic(error):
                            shut[message.topic] = error
                        elif not is_own(error):
                            raise
                        refused[message.number] = error
                failpoint("send.flying")
                for future in futures.values():
                    if not future.done():  # all of a batch are done when one is
                        await asyncio.wait({future})
        except AWAY as error:
            await self._interrupted(futures, error)
        except BaseException:
            await self.give_up()
            raise
        for number, future in futures.items():
            problem = future.exception()
            if problem is not None:
                if not (is_own(problem) or is_of_a_topic(problem)):
                    await self._interrupted(futures, problem)
                refused[number] = problem
        return refused

    async def _interrupted(
        self, futures: Mapping[int, asyncio.Future[Any]], error: BaseException
    ) -> NoReturn:
        arrived = [number for number, it in futures.items() if _arrived(it)]
        await self.give_up()
        for future in futures.values():
            if future.done() and not future.cancelled():
                future.exception()  # seen, though nobody asks
        raise Interrupted(str(trouble(error, doing="sending to Kafka")), arrived) from error

    async def _connected(self) -> AIOKafkaProducer:
        if self._client is None:
            self._client = client = AIOKafkaProducer(
                acks="all",
                enable_idempotence=True,
                max_batch_size=BATCH_BYTES,
                max_request_size=self._settings.max_message_bytes,
                **options(self._settings),
            )
            await client.start()
        return self._client

    async def close(self) -> None:
        """End in good order: nothing is in hand between two calls of `send`."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await client.stop()
        except AWAY:
            await abandon(client)

    async def give_up(self) -> None:
        """Drop the connection with all that is in hand; the next `send` makes a new one."""
        client, self._client = self._client, None
        if client is not None:
            await abandon(client)


class Interrupted(BrokerTrouble):
    """The broker went away in the middle: `acknowledged` are the numbers that had arrived."""

    def __init__(self, text: str, acknowledged: Sequence[int]) -> None:
        super().__init__(text)
        self.acknowledged = acknowledged


def _arrived(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


async def abandon(client: AIOKafkaProducer) -> None:
    """End a producer that waits for a broker which may never answer.

    Its public `stop` would wait along. So what it holds is failed, its connections are closed
    under it, and its task is cancelled as often as that takes: once for each request in flight.
    """
    client._closed = True
    _fail_all(client._message_accumulator)
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await client.client.close()
    pending = client.client._md_update_fut
    if pending is not None and not pending.done():
        pending.set_result(False)  # somebody may wait for news that come no more
    await _cancel(client._sender)


async def _cancel(sender: Any) -> None:
    task = sender.sender_task
    if task is None:
        return
    task.remove_done_callback(sender._fail_all)  # it stumbles where there is no transaction
    for _ in range(20):
        if task.done():
            break
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
    if task.done() and not task.cancelled():
        task.exception()  # seen, though nobody asks


def _fail_all(accumulator: Any) -> None:
    accumulator.fail_all(ProducerClosed())
    for batches in accumulator._batches.values():
        for batch in batches:  # nobody waits for these to be sent, and asyncio would say so
            if batch._drain_waiter.done() and not batch._drain_waiter.cancelled():
                batch._drain_waiter.exception()
