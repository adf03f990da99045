"""Work beside a loop that serves: no full collection begins, and threads change places sooner."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core.courtesy import SWITCH_SECONDS, Worker, beside_traffic


@contextmanager
def collections() -> Iterator[list[int]]:
    """The generations that the collector looked at meanwhile."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            seen.append(info["generation"])

    gc.callbacks.append(note)
    try:
        yield seen
    finally:
        gc.callbacks.remove(note)


def build() -> list[list[int]]:
    """A good many objects that stay."""
    return [[number] for number in range(300_000)]


def test_no_full_collection_begins_meanwhile() -> None:
    """What would set off a full collection does not inside the block, and does outside of it."""
    gc.collect()
    with collections() as inside, beside_traffic():
        kept = build()
    assert set(inside) == {0, 1}
    gc.collect()
    with collections() as outside:
        kept += build() + build()
    assert 2 in outside


def test_what_was_set_comes_back() -> None:
    """Blocks may overlap and fail; the last one to end restores what was there before the first."""
    before = gc.get_threshold(), sys.getswitchinterval()
    outer, inner = beside_traffic(), beside_traffic()
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    inner.__exit__(None, None, None)
    assert (gc.get_threshold(), sys.getswitchinterval()) == before
    with pytest.raises(OSError, match="out"), beside_traffic():
        raise OSError("out")
    assert (gc.get_threshold(), sys.getswitchinterval()) == before


name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


async def test_a_worker_has_one_thread() -> None:
    """All that a worker is given runs on one thread, in turn, in the context of whoever asks."""
    worker = Worker()
    name.set("somebody")

    def ask(number: int) -> tuple[int, str, int]:
        return number, name.get(), threading.get_ident()

    answers = await asyncio.gather(*(worker.run(ask, number) for number in range(8)))
    assert [answer[:2] for answer in answers] == [(number, "somebody") for number in range(8)]
    assert len({answer[2] for answer in answers} | {threading.get_ident()}) == 2
    with pytest.raises(ZeroDivisionError):
        await worker.run(divmod, 1, 0)
    worker.close()
