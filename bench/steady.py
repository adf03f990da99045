"""A steady load: so many requests a second, each sent when its time has come.

An open loop, unlike wrk's: a server that falls behind is not given a rest by those who wait for it
(Schroeder et al., "Open Versus Closed: A Cautionary Tale", NSDI 2006).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONNECTIONS = 32


@dataclass(frozen=True)
class Answered:
    """One request: its status, its body, and when the answer was there (`time.time`)."""

    status: int
    body: bytes
    at: float
    seconds: float


async def post(
    port: int, path: str, bodies: Sequence[str], headers: Mapping[str, str], *, rate: float
) -> list[Answered]:
    """POST each of the bodies, `rate` a second. Raises OSError when a connection breaks."""
    free: asyncio.Queue[Line] = asyncio.Queue()
    lines = [await Line.open(port) for _ in range(CONNECTIONS)]
    for line in lines:
        free.put_nowait(line)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    try:
        began = time.perf_counter()
        tasks = []
        for number, body in enumerate(bodies):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            request = f"POST {path} HTTP/1.1\r\nHost: bench\r\n{head}"
            request += f"Content-Length: {len(body)}\r\n\r\n{body}"
            tasks.append(asyncio.create_task(_one(free, request.encode(), due)))
        return list(await asyncio.gather(*tasks))
    finally:
        for line in lines:
            line.close()


async def _one(free: asyncio.Queue[Line], request: bytes, due: float) -> Answered:
    line = await free.get()
    try:
        status, body = await line.ask(request)
        return Answered(status, body, time.time(), time.perf_counter() - due)
    finally:
        free.put_nowait(line)


class Line:
    """One kept connection; HTTP/1.1 as far as a server's JSON answers need it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Line:
        """Connect to a server of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of one request."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        length = next(
            int(field.partition(":")[2])
            for field in fields
            if field.lower().startswith("content-length:")
        )
        return int(first.split()[1]), await self._reader.readexactly(length)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
