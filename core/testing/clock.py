"""A clock that stands still, for what happens after an hour or at the end of a month."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

MISSING = "frozen_time needs time-machine: pip install 'tessera-modulith[testing]'"


class FrozenTime:
    """The time as every thread of this process sees it; it moves only when it is told.

    `datetime.now`, `time.time` and their kin are frozen, in modules, core and libraries alike.
    `time.monotonic` runs on, and with it asyncio, time-outs and connection pools; so does the
    clock of a database server: let a module take its time from Python.
    """

    def __init__(self, traveller: Any) -> None:
        self._traveller = traveller

    def now(self) -> datetime:
        """The moment at which the clock stands, in UTC."""
        return datetime.now(UTC)

    def move_to(self, moment: datetime) -> None:
        """Set the clock, forwards or back. Raises ValueError for a moment without a time zone."""
        if moment.tzinfo is None:
            raise ValueError("a moment needs its time zone: datetime(2027, 1, 1, tzinfo=UTC)")
        self._traveller.move_to(moment)

    def shift(self, by: timedelta | float) -> None:
        """Move the clock by a time span, or by seconds; negative ones move it back."""
        self._traveller.shift(by)


@contextmanager
def frozen() -> Iterator[FrozenTime]:
    """Stop the clock at the present second until the end of the block.

    Raises ModuleNotFoundError without time-machine, which swaps the functions in C: what a module
    imported long ago (``from datetime import datetime``) is frozen too, without a search through
    everything that is loaded.
    """
    try:
        import time_machine
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(MISSING, name="time_machine") from error
    present = datetime.now(UTC).replace(microsecond=0)
    with time_machine.travel(present, tick=False) as traveller:
        yield FrozenTime(traveller)
