"""The life of generations: the first, the swap to the next, the end of the last.

The next generation is built and warmed beside the running one, in a thread (a schema of 1,000
routes takes half a second to build), then started; moving one pointer makes it current. What the
old one has begun it ends; then its lifespans are left.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Mapping, Sequence

import structlog

from core import copies, last_start, marks, preflight, watchdog
from core.courtesy import Worker, beside_traffic
from core.db import migrations
from core.dismantle import dismantle
from core.errors import ModuleFailure, Refused
from core.generation import Generation, Overrides, compose, refuse_without_required
from core.identity import Authenticator
from core.lives import StartFailure
from core.process import Resources
from core.registry import CORE, Module, Registry
from core.settings import Settings

log = structlog.get_logger("tessera.generation")

SETTLE_SECONDS = 10.0
"""How long after a start a module that blocks or ends the process is still kept out of the next."""


COLLECT_EVERY = 10
"""Generations that end between two full collections: one holds the loop for up to 60 ms."""


class Lifecycle:
    """Holds the current generation of a process and replaces it whole."""

    def __init__(
        self,
        *,
        resources: Resources,
        overrides: Overrides,
        migrate: bool | None,
        authenticators: Sequence[Authenticator] = (),
    ) -> None:
        """`migrate` says whether waiting migrations are run; None: in development only.

        `authenticators` are asked before those of the modules, in every generation.
        """
        self._resources = resources
        self._overrides = overrides
        self._migrate = migrate
        self._authenticators = tuple(authenticators)
        self._current: Generation | None = None
        self._worker = Worker()
        self._swapping = asyncio.Lock()
        self._retired = 0
        self._retiring: set[asyncio.Task[None]] = set()
        self._watch = contextlib.ExitStack()
        self._noted: Mapping[str, ModuleFailure] = {}

    @property
    def current(self) -> Generation:
        """The generation that new requests belong to. Raises RuntimeError before `begin`."""
        if self._current is None:
            raise RuntimeError("there is no generation: the application is not running")
        return self._current

    async def begin(self, settings: Settings) -> None:
        """Make the first generation current. Raises Refused."""
        # Not once there is the worker's thread: a copy is made before it, and waited for by it.
        failures = preflight.begin(settings, copying=copies.can_be_made())
        excluded = await self._worker.run(failures)
        self._current = await self._make(settings, excluded)
        _tell(self._current)

    async def swap(self, settings: Settings) -> Generation:
        """Replace the current generation by one of `settings`; the old one drains behind it.

        Raises Refused (a required module failed, one that serves now would fail, migrations wait);
        the old one goes on then.
        """
        async with self._swapping:
            old, noted = self.current, self._noted
            with contextlib.ExitStack() as beside:
                beside.enter_context(beside_traffic())
                excluded = await self._worker.run(preflight.failures_of, settings)
                new = await self._make(settings, excluded)
                if lost := _lost(old.registry, new.registry):
                    await self._withdraw(new, noted)
                    told = "; ".join(f"{it.id}: {it.reason}" for it in lost)
                    raise Refused(f"what serves now would fail: {told}")
                self._current = new
                # Until the old one is gone: a full collection would walk both, twice as long.
                retire = self._retire(old, beside.pop_all())
            retiring = asyncio.create_task(retire, name="tessera-retire")
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)
        _tell_gone(old.registry, new.registry)
        _tell(new)
        return new

    async def settled(self) -> None:
        """Wait until every replaced generation has ended."""
        if self._retiring:
            await asyncio.wait(self._retiring)

    async def end(self) -> None:
        """End the current generation and all that are still draining."""
        async with self._swapping:
            last, self._current = self._current, None
            if last is not None:
                await last.stop()
            await self.settled()
            self._worker.close()
            self._watch.close()

    async def _withdraw(self, generation: Generation, noted: Mapping[str, ModuleFailure]) -> None:
        """End a generation that is not to serve; what was noted before it is what holds."""
        await self._note(generation.settings, noted)
        await generation.stop()
        await self._worker.run(dismantle, generation, self._current)

    async def _retire(self, old: Generation, beside: contextlib.ExitStack) -> None:
        """Let a replaced generation answer what it has begun, then end it, and `beside` with it."""
        limit = old.settings.server.shutdown_seconds
        with beside:
            try:
                async with asyncio.timeout(limit):
                    await old.drained()
            except TimeoutError:
                count = old.in_flight
                log.warning("requests outlived their generation", count=count, seconds=limit)
            await old.stop()
            if not old.in_flight:
                await self._worker.run(dismantle, old, self._current)
        self._retired += 1
        if self._retired % COLLECT_EVERY == 0:
            # What lies in circles would wait for a full collection for more than a hundred swaps.
            await self._worker.run(gc.collect)

    async def _make(self, settings: Settings, excluded: dict[str, ModuleFailure]) -> Generation:
        """A started generation of every module that can start. Raises Refused."""
        with await self._watched(settings) as watch:
            generation = await self._start(settings, excluded)
            # Its tasks have only begun: what they do at first still counts as the start.
            self._watch = watch.pop_all()
            asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._settle, self._watch)
            return generation

    def _settle(self, watch: contextlib.ExitStack) -> None:
        """A start was well, and so were its first seconds."""
        if watch is self._watch and self._current is not None:  # else another start, or the end
            marks.forgive(self._current.contexts)
        watch.close()

    async def _watched(self, settings: Settings) -> contextlib.ExitStack:
        """What notes the modules that block or end this process; it is closed when all is well."""
        self._watch.close()
        watchdog.watch()
        # Not by the loop's own executor, which a module may keep busy for ever.
        fingerprints, strangers = await self._worker.run(preflight.fingerprints_of, settings)
        watch = contextlib.ExitStack()
        if strangers:
            watch.enter_context(marks.writing(strangers))
        if fingerprints:
            limit = settings.app.preflight_seconds
            watch.enter_context(watchdog.starting(fingerprints, rehearsed_seconds=limit))
        return watch

    async def _start(self, settings: Settings, excluded: dict[str, ModuleFailure]) -> Generation:
        foreseen: set[str] | None = None
        while True:
            generation = await self._worker.run(self._build, settings, dict(excluded))
            if foreseen is None:
                foreseen = set(generation.contexts)
            try:
                await self._prepare_database(generation, foreseen)
                await generation.start()
            except StartFailure as failed:
                excluded.update(failed.failures)
                # At once: a required module's failure ends this start before it is done.
                await self._note(settings, excluded)
                continue
            await self._note(settings, excluded)
            return generation

    async def _note(self, settings: Settings, failures: Mapping[str, ModuleFailure]) -> None:
        self._noted = dict(failures)
        if settings.app.environment != "test":
            await self._worker.run(last_start.note, failures)

    def _build(self, settings: Settings, excluded: dict[str, ModuleFailure]) -> Generation:
        generation = compose(
            settings,
            resources=self._resources,
            overrides=self._overrides,
            excluded=excluded,
            authenticators=self._authenticators,
        )
        refuse_without_required(generation.registry)
        return generation

    async def _prepare_database(self, generation: Generation, foreseen: set[str]) -> None:
        """Migrate where that is wanted, else refuse while migrations wait.

        `foreseen` are the modules that `db upgrade` sees live: another one, that lives since its
        rival has failed, is out while its migrations wait. Raises Refused, and StartFailure for the
        modules whose migrations fail or cannot be read.
        """
        database, modules = self._resources.database, generation.registry.migrations()
        wanted = self._migrate
        if wanted is None:
            wanted = generation.settings.app.environment == "development"
        if wanted:
            results = await migrations.upgrade(database, modules)
            failed = {r.module: r.failure for r in results if r.failure is not None}
            if CORE in failed:
                raise Refused(f"core's own tables cannot be migrated: {failed[CORE]}")
            if failed:
                raise StartFailure(failed)
            return
        found = await migrations.status(database, modules)
        broken = {s.module: s.failure for s in found if s.failure is not None}
        if CORE in broken:
            raise Refused(f"core's own tables cannot be used: {broken[CORE]}")
        waiting = [s for s in found if s.pending]
        broken |= {s.module: _unforeseen(s) for s in waiting if s.module not in {*foreseen, CORE}}
        if broken:
            raise StartFailure(broken)
        if waiting:
            listed = ", ".join(f"{s.module} ({len(s.pending)})" for s in waiting)
            raise Refused(f"migrations wait: {listed}; run `tessera db upgrade` first")


def _lost(old: Registry, new: Registry) -> list[Module]:
    """What serves in the old one and has failed in the new one by itself.

    Not what goes because something that it requires is switched off: that is what was asked for.
    """
    served = {module.id for module in old.enabled}
    lost = {module.id: module for module in new.failed if module.id in served}
    gone = {id for id in served if id not in lost and id not in {it.id for it in new.enabled}}
    while meant := {id for id in lost if gone.intersection(old.modules[id].requires)}:
        gone |= meant
        lost = {id: module for id, module in lost.items() if id not in meant}
    return [*lost.values()]


def _unforeseen(status: migrations.MigrationStatus) -> ModuleFailure:
    return ModuleFailure(
        f"its migrations wait ({', '.join(status.pending)}), and it would live only since what "
        "keeps it out has failed",
        remedy="disable the one that has failed, then run `tessera db upgrade`",
    )


def _tell_gone(old: Registry, new: Registry) -> None:
    """Whoever did not mean it finds in the log what a swap took away."""
    enabled = {module.id for module in new.enabled}
    if gone := [module.id for module in old.enabled if module.id not in enabled]:
        log.warning("modules serve no longer", gone=gone)


def _tell(generation: Generation) -> None:
    for module in generation.registry.failed:
        log.error(
            "module failed",
            module=module.id,
            reason=module.reason,
            remedy=module.remedy,
            exc_info=module.cause,
        )
    log.info(
        "ready",
        modules=[m.id for m in generation.registry.enabled],
        versions=list(generation.versions),
    )
