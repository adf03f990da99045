"""Telling of trouble once, however often it is met, and of its end."""

from __future__ import annotations

import time
from typing import Any

import structlog

from core.errors import text_of

log = structlog.get_logger("tessera.events")

REMIND_SECONDS = 60.0


class Outage:
    """What keeps one piece of work waiting; told when it begins, each minute, and when it ends."""

    def __init__(self, who: str, *, work: str = "work with Kafka", **details: Any) -> None:
        self._who = who
        self._waits, self._goes_on = f"{work} waits", f"{work} goes on"
        self._details = details
        self._since = self._told_at = 0.0

    def met(self, error: BaseException) -> None:
        """It is there, or there still."""
        now = time.monotonic()
        self._since = self._since or now
        if not self._told_at or now - self._told_at >= REMIND_SECONDS:
            self._told_at = now
            reason = text_of(error, for_operators=True) or "no answer in time"
            log.warning(self._waits, who=self._who, reason=reason, **self._details)

    def over(self) -> None:
        """Work goes on; says so if it was told that it did not."""
        if self._told_at:
            seconds = round(time.monotonic() - self._since, 1)
            log.info(self._goes_on, who=self._who, after_seconds=seconds, **self._details)
        self._since = self._told_at = 0.0
