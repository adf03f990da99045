"""What a module does at a start, done once in a process that may be lost.

Modules are loaded, asked all that they declare, down to the schema of their routes, and, where they
do more at a start than that, started and ended with what they require: on a scratch SQLite file, in
a scratch folder, without Redis, Kafka or HTTP. What they raise here is left to the real start,
which tells of it; only hanging and dying counts, and whoever listens to `core.steps` knows where.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi

from core import DISTRIBUTION, discovery, ending, lives, steps, warming
from core.db import migrations
from core.declarations import declare
from core.discovery import Found
from core.errors import ModuleFailure
from core.generation import Generation, compose
from core.hooks import Hooks
from core.hookspecs import HOOKS
from core.logs import configure_logging
from core.process import Resources

if TYPE_CHECKING:
    from core.settings import Settings

DECLARING = (
    *("manifest", "settings", "tables", "migrations", "services", "permissions", "events"),
    *("subscriptions", "commands", "hookspecs", "checks"),
)
STARTING = frozenset({"migrations", "services", "lifespan", "authenticators", "readiness"})
ENTER_SECONDS = 2.0
"""One that takes longer to start, and lets others work meanwhile, is the real start's affair."""
SETTLE_SECONDS = 0.3
"""How long what they have started is watched before they are ended again."""


class Meddled(Exception):
    """A module did not keep to its own tasks: where it starts, nobody serves any more."""


def rehearse(
    settings: Settings, names: Sequence[str], *, found: Mapping[str, Found], folder: Path
) -> None:
    """Load and start these modules in this process, which must be good for nothing else.

    `found` is all that is installed; `folder` is empty, and theirs. Raises nothing that a module
    raises, however it does so; Meddled when the loop ended under all.
    """
    configure_logging(settings, quiet=True)
    logging.disable(logging.CRITICAL)  # the real start tells of everything
    lives.ENTER_SECONDS = ENTER_SECONDS
    loaded = {name: hooks for name in names if (hooks := _loaded(found[name]))}
    for hooks in loaded.values():
        _ask(hooks, settings)
    if any(map(_starts, loaded.values())):
        os.chdir(folder)
        scratch = _scratch(settings, _with_required(loaded, found, settings), folder)
        _run(scratch)


def _loaded(found: Found) -> Hooks | None:
    with contextlib.suppress(ModuleFailure):
        return Hooks(found.id, discovery.load(found))
    return None


def _ask(hooks: Hooks, settings: Settings) -> None:
    """Every hook that only declares, and what is made of it: no lifespan is needed to hang there.

    Not a whole generation, which takes twice the time and runs no more of a module's code.
    """
    for name in DECLARING:
        with contextlib.suppress(ModuleFailure):
            hooks.sequence(name, of=object)
    with (
        contextlib.suppress(ModuleFailure),
        hooks.guarded("settings"),
        steps.step(hooks.module_id, "what it declares"),
    ):
        declare(hooks, settings.modules[hooks.module_id], {})
    for version in settings.api.versions:
        with contextlib.suppress(ModuleFailure):
            routers = hooks.sequence("routers", of=APIRouter, version=version)
            with hooks.guarded("routers"), steps.step(hooks.module_id, warming.DOING):
                routes = [route for router in routers for route in router.routes]
                get_openapi(title=version, version=version, routes=routes)


def _starts(hooks: Hooks) -> bool:
    """Whether the module does more at a start than to declare."""
    return bool(hooks.names() & STARTING or hooks.names() - set(HOOKS))


def _with_required(
    loaded: Mapping[str, Hooks], found: Mapping[str, Found], settings: Settings
) -> Iterator[str]:
    """The modules, and all enabled ones that they require or are loaded after."""
    waiting, seen = list(loaded), set(loaded)
    while waiting:
        name = waiting.pop()
        yield name
        hooks = loaded.get(name) or _loaded(found[name])
        if hooks is None:
            continue
        with contextlib.suppress(ModuleFailure):
            manifest = hooks.manifest()
            for other in (*manifest.requires, *manifest.optional):
                section = settings.modules.get(other)
                if section and section.enabled and other in found and other not in seen:
                    seen.add(other)
                    waiting.append(other)


def _scratch(settings: Settings, names: Iterator[str], folder: Path) -> Settings:
    """The settings of the rehearsal: these modules, and no server that anybody else uses."""
    wanted = set(names)
    return settings.model_copy(
        update={
            "database": type(settings.database)(url=f"sqlite+aiosqlite:///{folder / 'scratch.db'}"),
            "redis": type(settings.redis)(),
            "kafka": type(settings.kafka)(),
            "modules": {n: s for n, s in settings.modules.items() if n in wanted},
        }
    )


def _run(settings: Settings) -> None:
    """Start and end them on a loop that must be there to the last."""
    came_to_its_end = False

    async def work() -> None:
        nonlocal came_to_its_end
        with contextlib.suppress(Exception):
            await _start_and_end(settings)
        task = asyncio.current_task()
        came_to_its_end = task is not None and not task.cancelling()
        ending.leave_executor()

    how = "it cancelled tasks that are not its own"
    try:
        asyncio.run(work())
    except asyncio.CancelledError:
        pass
    except RuntimeError:  # "Event loop stopped before Future completed"
        how = "it stopped the event loop of all"
    if not came_to_its_end:
        raise Meddled(how)


async def _start_and_end(settings: Settings) -> None:
    resources = Resources(settings)
    steps.own_tasks(asyncio.get_running_loop())
    resources.events.role = "none"
    try:
        generation = compose(settings, resources=resources)
        await _make_tables(generation, resources)
        await generation.start()
        await asyncio.sleep(SETTLE_SECONDS)
        await generation.stop()
    finally:
        await resources.close()


async def _make_tables(generation: Generation, resources: Resources) -> None:
    """Run the strangers' migrations; what came with core has its tables the short way."""
    strangers = {m.id for m in generation.registry.enabled if m.distribution != DISTRIBUTION}
    theirs = [m for m in generation.registry.migrations() if m.module in strangers]
    engine = resources.database.maintenance_engine()
    async with engine.begin() as connection:
        for module in generation.registry.migrations():
            if module.module not in strangers:
                await connection.run_sync(module.metadata().create_all)
    await engine.dispose()
    if theirs:
        await migrations.upgrade(resources.database, theirs)
