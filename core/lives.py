"""The lifespans of a generation's modules, each in a task of its module's own.

A task each, because a lifespan that hangs, or whose task group cancels it, is then nobody else's
affair; and the same task enters and leaves (anyio's rule for cancel scopes). A module begins when
all that it requires have begun, all others at once, so that several that hang cost the time of one.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from core import steps
from core.discovery import summarise
from core.errors import ModuleFailure, by_a_person

if TYPE_CHECKING:
    from core.registry import Module

log = structlog.get_logger("tessera.generation")

Manager = contextlib.AbstractAsyncContextManager[None]

ENTER_SECONDS = 5.0
"""How long a module's lifespan may take to start, and to end."""
LINGER_SECONDS = 0.5
"""How long one that is cancelled may take to take note of it; then it is left behind."""


class StartFailure(Exception):
    """Modules failed while the generation was starting; it is to be built again without them."""

    def __init__(self, failures: Mapping[str, ModuleFailure]) -> None:
        super().__init__("; ".join(f"{name}: {failure}" for name, failure in failures.items()))
        self.failures = dict(failures)


def could_not_start(module_id: str, error: BaseException) -> StartFailure:
    """The failure of a module that raised something unexpected when it was to start."""
    if isinstance(error, steps.Exited) and error.__cause__ is not None:
        error = error.__cause__
    unexpected = ModuleFailure(
        f"it could not start: {summarise(error)}", remedy=f"mend or disable {module_id}"
    )
    unexpected.__cause__ = error
    return StartFailure({module_id: unexpected})


class Life:
    """One module's time of serving: `enter` begins it, `leave` ends it."""

    def __init__(self, module_id: str, prepare: Callable[[], Manager | None]) -> None:
        """`prepare` does what comes before, in the module's code, and gives the lifespan."""
        self._module = module_id
        self._prepare = prepare
        self._leaving = asyncio.Event()
        self._entered = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def enter(self) -> None:
        """Raises StartFailure when it does not begin, and in time."""
        name = f"tessera-life-{self._module}"
        self._task = task = steps.create_task(
            self._live(), module=self._module, doing=steps.LIFESPAN, name=name
        )
        entered = asyncio.ensure_future(self._entered.wait())
        try:
            await asyncio.wait(
                [task, entered], timeout=ENTER_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not task.done() and not self._entered.is_set():
                raise self._late()
        except BaseException:
            await self._give_up(task)
            raise
        finally:
            entered.cancel()
        self._raise_failure(task)
        task.add_done_callback(self._note_early_end)

    async def leave(self) -> None:
        """End it. What it raises then is logged; one that does not end is left behind."""
        self._leaving.set()
        if self._task is None:
            return
        await asyncio.wait([self._task], timeout=ENTER_SECONDS)
        if not self._task.done():
            log.error("lifespan did not end in time", module=self._module, seconds=ENTER_SECONDS)
            await self._give_up(self._task)
        elif error := _error_of(self._task):
            log.error("lifespan failed while ending", module=self._module, exc_info=error)

    async def _live(self) -> None:
        manager = self._prepare()
        if manager is None:
            self._entered.set()
            return
        async with manager:
            self._entered.set()
            await self._leaving.wait()

    def _raise_failure(self, task: asyncio.Task[None]) -> None:
        error = _error_of(task) if task.done() else None
        if error is None and self._entered.is_set():
            return
        self._task = None  # there is nothing to leave
        if isinstance(error, StartFailure):
            raise error
        if isinstance(error, ModuleFailure):
            raise blame(self._module, error) from error
        raise could_not_start(self._module, error or RuntimeError("its lifespan did not begin"))

    def _late(self) -> StartFailure:
        late = ModuleFailure(
            f"its lifespan did not start within {ENTER_SECONDS:g} s",
            remedy="let it start slow work in a task of its own",
        )
        return StartFailure({self._module: late})

    async def _give_up(self, task: asyncio.Task[None]) -> None:
        """Cancel it; one that takes no note is left behind, and the loop will not wait for it."""
        self._task = None
        task.cancel()
        await asyncio.wait([task], timeout=LINGER_SECONDS)
        if task.done():
            _error_of(task)
        else:
            steps.leave_behind(task)
            log.error("lifespan swallows its cancellation: it is left behind", module=self._module)

    def _note_early_end(self, task: asyncio.Task[None]) -> None:
        error = _error_of(task)
        if error is not None and not self._leaving.is_set():
            log.error("lifespan ended while its module serves", module=self._module, exc_info=error)


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    """What a task that is done raised, its cancellation included."""
    try:
        task.result()
    except BaseException as error:  # a library's own class, a panic of an extension module
        if by_a_person(error):
            raise
        return error
    return None


def blame(module_id: str, failure: ModuleFailure) -> StartFailure:
    """Who is at fault for a hook that failed: the module, or one whose service it asked for."""
    cause = failure.__cause__
    return cause if isinstance(cause, StartFailure) else StartFailure({module_id: failure})


class Lives:
    """The lives of all modules of a generation."""

    def __init__(
        self, modules: Sequence[Module], prepare: Callable[[Module], Manager | None]
    ) -> None:
        """`modules` in the order of their requirements."""
        self._prepare = prepare
        self._modules = {module.id: module for module in modules}
        self._lives: dict[str, Life] = {}

    async def enter(self) -> None:
        """Begin every life. Raises StartFailure naming all that could not."""
        begun = {name: asyncio.Event() for name in self._modules}
        failures: dict[str, ModuleFailure] = {}

        async def begin(module: Module) -> None:
            before = self._before(module)
            for other in before:
                await begun[other].wait()
            if all(other in self._lives for other in before):
                await self._enter(module, failures)
            begun[module.id].set()

        async with asyncio.TaskGroup() as group:
            for module in self._modules.values():
                group.create_task(begin(module), name=f"tessera-begin-{module.id}")
        if failures:
            raise StartFailure(failures)

    async def _enter(self, module: Module, failures: dict[str, ModuleFailure]) -> None:
        life = Life(module.id, lambda: self._prepare(module))
        try:
            await life.enter()
            self._lives[module.id] = life
        except StartFailure as failure:
            failures.update(failure.failures)

    async def leave(self) -> None:
        """End every life that began, each after all that require it."""
        left = {name: asyncio.Event() for name in self._lives}

        async def end(name: str) -> None:
            for other in self._lives:
                if name in self._before(self._modules[other]):
                    await left[other].wait()
            try:
                await self._lives[name].leave()
            finally:
                left[name].set()

        await asyncio.gather(*(end(name) for name in reversed(self._lives)))

    def _before(self, module: Module) -> list[str]:
        """The modules of this generation that begin before this one, and end after it."""
        manifest = module.manifest
        wanted = (*manifest.requires, *manifest.optional) if manifest else ()
        earlier = itertools.takewhile(lambda name: name != module.id, self._modules)
        return [name for name in earlier if name in wanted]
