"""A failure of a message itself: when it is tried again, and after how many it is dead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from core.errors import text_of

if TYPE_CHECKING:
    from core.errors import Unavailable
    from core.settings import EventsSettings

LONGEST_BACKOFF = 3600.0
LONGEST_REASON = 2_000
"""Characters of an error that are kept."""


def wait_after(attempts: int, settings: EventsSettings) -> float:
    """Seconds until the next try when so many had failed before; each twice the one before."""
    longest: float = min(settings.backoff_seconds * 2**attempts, LONGEST_BACKOFF)
    return longest


def counted(error: BaseException, *, attempts: int, settings: EventsSettings) -> dict[str, Any]:
    """What a row says after one failure more: attempts, state, when it is due, and why."""
    return {
        "attempts": attempts + 1,
        "last_error": reason_of(error),
        "state": "dead" if attempts + 1 >= settings.tries else "pending",
        "available_at": datetime.now(UTC) + timedelta(seconds=wait_after(attempts, settings)),
    }


def put_off(error: Unavailable, *, seconds: float) -> dict[str, Any]:
    """What a row says of a message that somebody has put off: when it is due again, and why.

    It has not failed: no try is counted.
    """
    return {
        "last_error": text_of(error, for_operators=True)[:LONGEST_REASON].replace("\x00", ""),
        "available_at": datetime.now(UTC) + timedelta(seconds=seconds),
    }


def reason_of(error: BaseException) -> str:
    """An error as it is kept: its kind and its text."""
    return f"{type(error).__name__}: {text_of(error)}"[:LONGEST_REASON].replace("\x00", "")
