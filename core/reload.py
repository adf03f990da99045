"""SIGHUP: read the settings again and swap the generation; what is wrong with them changes nothing.

Only what a generation is made of can change in a running process (modules and versions). Sections
that belong to the process (server, database, redis, …) keep their values until the next start, and
a change there is told.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import structlog

from core.errors import Refused, TesseraError, by_a_person
from core.settings import Settings, load_settings
from core.steps import is_cancelled

if TYPE_CHECKING:
    from core.lifecycle import Lifecycle

log = structlog.get_logger("tessera.reload")

SWAPPED = frozenset({"modules", "api"})
"""The sections that a new generation takes from new settings."""
NOT_TAKEN = "settings not taken over; everything goes on as before"


def merge(old: Settings, new: Settings) -> tuple[Settings, list[str]]:
    """`new` with the process's sections of `old`, and the names of those that differ."""
    fixed = [name for name in type(old).model_fields if name not in SWAPPED]
    differing = [name for name in fixed if getattr(old, name) != getattr(new, name)]
    kept = {name: getattr(old, name) for name in fixed}
    return new.model_copy(update=kept), differing


def refuse_blank(old: Settings, new: Settings) -> None:
    """Raise Refused when the settings file has lost all that it said, modules among it.

    No module would serve then, and nobody who wants that does it so.
    """
    serving = any(section.enabled for section in old.modules.values())
    if serving and new.blank_file and not old.blank_file:
        raise Refused(
            f"{new.blank_file} holds no table any more, so that no module of it would serve; write "
            "it again (was the disk full?), or disable modules one by one: enabled = false"
        )


async def reload(lifecycle: Lifecycle) -> bool:
    """Swap to the settings as they are now; False, and the reason in the log, when that fails."""
    old = lifecycle.current.settings
    try:
        new = load_settings()
        refuse_blank(old, new)
        settings, differing = merge(old, new)
        for name in differing:
            log.warning("this change takes effect at the next start", section=name)
        await lifecycle.swap(settings)
    except TesseraError as error:
        log.error(NOT_TAKEN, reason=str(error))
        return False
    except BaseException as error:  # SystemExit too, which would end the loop
        if is_cancelled(error) or by_a_person(error):
            raise
        log.exception(NOT_TAKEN)
        return False
    return True


class Hangup:
    """Runs a coroutine at each SIGHUP, one after another, as long as it is installed."""

    def __init__(self, action: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self._action = action
        self._tasks: set[asyncio.Task[object]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self) -> None:
        """Listen, where that is possible: in the main thread, on a system that has the signal."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGHUP, self._begin)

    def remove(self) -> None:
        """Listen no more; reloads under way are cancelled."""
        if self._loop is not None:
            self._loop.remove_signal_handler(signal.SIGHUP)
            self._loop = None
        for task in self._tasks:
            task.cancel()

    def _begin(self) -> None:
        log.info("SIGHUP: reading the settings again")
        task = asyncio.create_task(self._action(), name="tessera-reload")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
