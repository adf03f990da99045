"""FastAPI with one empty endpoint and nothing else."""

from __future__ import annotations

from fastapi import FastAPI

app = FastAPI()


@app.get("/v1/hello")
async def read() -> dict[str, str]:
    return {"module": "hello"}


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
