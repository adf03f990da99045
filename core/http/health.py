"""Is the process alive, can it serve? Liveness asks nobody; readiness asks modules and servers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core.errors import text_of
from core.events import recording
from core.events.backlog import stalls
from core.steps import create_task, leave_behind

if TYPE_CHECKING:
    from core.generation import Generation

CHECK_SECONDS = 2.0
GRACE_SECONDS = 0.2
"""What a check that is out of time may take to end."""
NOT_ASYNC = "the check gave nothing to wait for: write it with async def"
LATE = {"status": "down", "reason": f"no answer within {CHECK_SECONDS:.0f} s"}


async def health(_request: Request) -> Response:
    """``{"status": "ok"}``, for people and for the simplest of probes."""
    return JSONResponse({"status": "ok"})


async def livez(_request: Request) -> Response:
    """The process answers; nobody else is asked, so that a broken database restarts nothing."""
    return JSONResponse({"status": "alive"})


async def readiness(generation: Generation) -> tuple[bool, dict[str, Any]]:
    """Whether this process can serve, and the document that says so, by module and by server.

    A failed module is told of and does not make the process unready: the rest serve. Nor does
    Redis: without it the cache is passed by. Nor do Kafka, and events that stall: the API answers,
    and events wait in the database.
    """
    resources = generation.world.resources
    servers = {"database": await _check(resources.database.ping)}
    ready = servers["database"]["status"] == "ok"
    if resources.redis.configured:
        servers["redis"] = await _check(resources.redis.ping)
    if generation.settings.kafka.bootstrap_servers:
        servers["kafka"] = await resources.lookout.broker()
    events = await _events(generation) if ready else {"status": "unknown"}
    asked = await _ask_modules(generation)
    modules: dict[str, Any] = {}
    for module in generation.registry:
        if module.state == "disabled":
            continue
        entry: dict[str, Any] = {"state": module.state}
        if module.state == "failed":
            entry |= {"reason": module.reason, "remedy": module.remedy}
        if checks := asked.get(module.id):
            entry["checks"] = checks
            ready = ready and all(check["status"] == "ok" for check in checks.values())
        modules[module.id] = entry
    status = "ready" if ready else "not ready"
    return ready, {"status": status, "servers": servers, "events": events, "modules": modules}


async def _ask_modules(generation: Generation) -> dict[str, dict[str, dict[str, str]]]:
    """What the checks of the modules say, asked side by side, so that many that hang cost 2 s.

    One that takes no note of its time limit is not asked again until it has an answer.
    """
    tasks = generation.asking
    for module, checks in generation.readiness.items():
        for name, check in checks.items():
            if (module, name) not in tasks:
                doing = f"its readiness check {name}"
                tasks[module, name] = create_task(
                    _check(check), module=module, doing=doing, name=f"tessera-ask-{module}"
                )
    if tasks:
        await asyncio.wait(tasks.values(), timeout=CHECK_SECONDS + GRACE_SECONDS)
    found: dict[str, dict[str, dict[str, str]]] = {}
    for (module, name), task in list(tasks.items()):
        if task.done():
            del tasks[module, name]
        else:
            leave_behind(task)
        found.setdefault(module, {})[name] = task.result() if task.done() else LATE
    return found


async def _events(generation: Generation) -> dict[str, Any]:
    """Whether events flow; those that stall by name, with what to do. It makes nothing unready."""
    settings, resources = generation.settings, generation.world.resources
    if not settings.events.recording:
        return {"status": "off", "reason": recording.OFF}
    try:
        backlogs = await resources.lookout.look()
    except Exception as error:  # a database that is away is told of by itself
        return {"status": "unknown", "reason": text_of(error) or type(error).__name__}
    stalled = stalls(
        backlogs,
        states={module.id: module.state for module in generation.registry},
        after=settings.events.stall_seconds,
        broker=bool(settings.kafka.bootstrap_servers),
    )
    if not stalled:
        return {"status": "ok"}
    return {
        "status": "stalled",
        "stalled": {
            it.name: {
                "oldest_seconds": round(it.seconds),
                "waiting": it.waiting,
                "remedy": it.remedy,
            }
            for it in stalled
        },
    }


async def _check(check: Callable[[], Any]) -> dict[str, str]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            waiting = check()
            if not inspect.isawaitable(waiting):
                return {"status": "down", "reason": NOT_ASYNC}
            await waiting
    except TimeoutError:
        return LATE
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise
    except BaseException as error:  # a module's check may raise anything, SystemExit included
        return {"status": "down", "reason": text_of(error) or type(error).__name__}
    return {"status": "ok"}
