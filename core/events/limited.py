"""A handler's call: in a task of its own, with a limit, and all that it raises is an Exception."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog

from core import steps
from core.errors import text_of
from core.tracing import handling

log = structlog.get_logger("tessera.events")

LINGER_SECONDS = 1.0
"""How long a handler may take to end when its time is over."""


async def limited(
    handler: Callable[..., Awaitable[None]],
    *given: Any,
    module: str,
    traceparent: str | None,
    seconds: float,
) -> None:
    """Call a module's handler in a task of its own, so that it can be left behind.

    Raises TimeoutError after `seconds`, what the handler raises, and RuntimeError where that is
    none that anybody above would expect: a cancellation by what it waited for, say.
    """
    name = getattr(handler, "__qualname__", repr(handler))
    with handling(traceparent):
        task = steps.create_task(
            _called(handler, given),
            module=module,
            doing=f"its handler {name}",
            name=f"tessera-{module}-handler",
        )
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await _give_up(task, module, name)
        raise
    if not done:
        await _give_up(task, module, name)
        raise TimeoutError(f"{name} did not return within {seconds:g} s")
    try:
        task.result()
    except asyncio.CancelledError as error:
        raise RuntimeError(f"{name} was cancelled by what it waited for") from error
    except (Exception, SystemExit):
        raise
    except BaseException as error:  # nobody above expects it, and its message would be lost
        raise RuntimeError(f"{type(error).__name__}: {text_of(error)}") from error


async def _called(handler: Callable[..., Awaitable[None]], given: tuple[Any, ...]) -> None:
    await handler(*given)


async def _give_up(task: asyncio.Task[None], module: str, name: str) -> None:
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=LINGER_SECONDS)
    if done:
        with suppress(BaseException):  # seen: it is over whatever it was
            task.result()
    else:
        steps.leave_behind(task)
        log.error(
            "a handler swallows its cancellation: it is left behind", group=module, handler=name
        )
