"""Messages that aiokafka cannot read: a header's name is no UTF-8, which no broker forbids.

Its consumer raises in the middle of what it has fetched, each time anew, and reads nothing behind
it in the same batch. Here such a batch is found and read all the same.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CorruptRecordException, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import _DefaultRecordBatchPy as Batch
from aiokafka.record.util import decode_varint_py
from aiokafka.structs import ConsumerRecord

WAIT_MS = 500
REASON = "the name of a header is not UTF-8"
_STRAY, _LAST_STRAY = "\udc80", "\udcff"
"""What bytes become that are no text."""
_BATCH_HEAD = struct.Struct(">qi")
"""The offset of its first message, and how many bytes follow."""


class UnreadableName(Exception):
    """What was read before it in the same answer is lost, and must be read again."""


class Garbled(ConsumerRecord[bytes, bytes]):  # type: ignore[misc]  # aiokafka has no types
    """A message with such a name."""


class _AnyText(bytearray):
    """Bytes that are text whatever is in them."""

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        return _AnyText(part) if isinstance(key, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> str:
        return super().decode(encoding, errors)


def is_name(error: BaseException) -> bool:
    """Whether aiokafka stumbled over a header's name; without its C parts it says so otherwise."""
    corrupt = isinstance(error, CorruptRecordException)
    return isinstance(error.__cause__ if corrupt else error, UnicodeDecodeError)


def place(
    client: AIOKafkaConsumer, asked: Collection[TopicPartition]
) -> tuple[TopicPartition, int]:
    """Where aiokafka has just stumbled: a partition, and the offset from which on the next is it.

    A generator that has raised has no frame any more.
    """
    for tp in asked:
        records = getattr(client._fetcher._records.get(tp), "_partition_records", None)
        iterator = getattr(records, "_records_iterator", None)
        if records is not None and iterator is not None and iterator.gi_frame is None:
            return tp, records.next_fetch_offset
    raise UnreadableName("of a partition that is another's by now")


async def read(
    client: AIOKafkaConsumer, tp: TopicPartition, offset: int
) -> list[ConsumerRecord[bytes, bytes]]:
    """What the batch with the first message from that offset on has from there.

    Raises what aiokafka raises for a broker that is away.
    """
    fetcher, connections = client._fetcher, client._client
    wanted = [(tp.topic, [(tp.partition, offset, fetcher._max_partition_fetch_bytes)])]
    size, isolation = fetcher._fetch_max_bytes, fetcher._isolation_level
    request = FetchRequest(WAIT_MS, 1, size, isolation, wanted, rack_id="")
    response = await connections.send(connections.cluster.leader_for_partition(tp), request)
    [(_, [(_, code, *_, data)])] = response.topics
    if code:
        raise for_code(code)(tp)
    for batch in _batches(data):
        if found := [_as_told(tp, it) for it in _records(batch) if it.offset >= offset]:
            return found
    raise UnreadableName(f"{tp} has no message from {offset} on")


def _batches(data: bytes) -> Iterator[Batch]:
    """Those of an answer, without the marks of transactions; the last one may be cut."""
    start = 0
    while start + _BATCH_HEAD.size <= len(data):
        end = start + _BATCH_HEAD.size + _BATCH_HEAD.unpack_from(data, start)[1]
        if end > len(data):
            return
        batch = Batch(data[start:end])
        start = end
        if not batch.is_control_batch:
            yield batch


def _records(batch: Batch) -> Iterator[Any]:
    iter(batch)  # unpacks what is compressed
    batch._buffer = _AnyText(batch._buffer)
    for _ in range(batch._num_records):
        yield batch._read_msg(decode_varint_py)


def _as_told(tp: TopicPartition, record: Any) -> ConsumerRecord[bytes, bytes]:
    names = "".join(name for name, _ in record.headers)
    kind = Garbled if any(_STRAY <= it <= _LAST_STRAY for it in names) else ConsumerRecord
    where = (tp.topic, tp.partition, record.offset, record.timestamp, record.timestamp_type)
    return kind(*where, record.key, record.value, None, -1, -1, tuple(record.headers))
