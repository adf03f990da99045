"""The same empty endpoint in Litestar, another framework."""

from __future__ import annotations

from litestar import Litestar, get


async def read() -> dict[str, str]:
    return {"module": "hello"}


async def health() -> dict[str, str]:
    return {"status": "ok"}


app = Litestar([get("/v1/hello")(read), get("/health")(health)])
