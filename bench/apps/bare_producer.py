"""Events to Kafka and nothing else: `bare_producer BROKERS TOPIC FILE` prints events a second.

FILE holds a JSON object a line: key, value, headers. Same client, acknowledgements and batches as
the relay's, but it need not read, order, wait for a key's turn, or mark.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from aiokafka import AIOKafkaProducer

from core.events.kafka.producer import BATCH_BYTES


async def main(brokers: str, topic: str, file: str) -> None:
    """Send all, wait for every acknowledgement."""
    lines = [json.loads(line) for line in Path(file).read_text().splitlines()]
    messages = [
        (it["key"].encode(), it["value"].encode(), [(k, v.encode()) for k, v in it["headers"]])
        for it in lines
    ]
    producer = AIOKafkaProducer(
        bootstrap_servers=brokers,
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
    )
    await producer.start()
    try:
        await producer.send_and_wait(topic, b"warm", key=b"warm")
        began = time.perf_counter()
        sent = [
            await producer.send(topic, value, key=key, headers=headers)
            for key, value, headers in messages
        ]
        await asyncio.gather(*sent)
        print(len(messages) / (time.perf_counter() - began))
    finally:
        await producer.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
