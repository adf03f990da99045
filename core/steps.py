"""Whose code runs just now, and in which step: for those who must know it when it never returns.

Before core calls into a module it says so, and each time that a task of a module is resumed. The
rehearsal tells its parent of each step, the watchdog looks how long one lasts, a mark on disk
outlives a process that a module ends. Tasks that a module starts are known as the module's own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

import structlog

T = TypeVar("T")
log = structlog.get_logger("tessera.modules")

MIGRATION = "its migration"
LIFESPAN = "its lifespan"
TASK = "a task that it started"


class Step:
    """A stretch of work in a module's code, from which the thread has not returned yet."""

    __slots__ = ("doing", "ident", "module", "thread")

    def __init__(self, module: str, doing: str) -> None:
        self.module = module
        self.doing = doing
        self.ident = threading.get_ident()
        self.thread = threading.get_native_id()


Listener = Callable[[Step | None], None]

_owner: ContextVar[str | None] = ContextVar("tessera_module", default=None)
_under_way: dict[int, Step] = {}
_listeners: list[Listener] = []


def under_way() -> list[Step]:
    """The innermost step of each thread that is in one."""
    return list(_under_way.values())


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell `listener` of each step that begins; None when a thread is back in core's own code."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _begin(module: str, doing: str) -> Step | None:
    """Note a step; gives the one around it, for `_end`."""
    ident = threading.get_ident()
    before = _under_way.get(ident)
    _under_way[ident] = step = Step(module, doing)
    for listener in _listeners:
        listener(step)
    return before


def _end(before: Step | None) -> None:
    if before is None:
        _under_way.pop(threading.get_ident(), None)
    else:
        _under_way[before.ident] = before
    for listener in _listeners:
        listener(before)


@contextmanager
def step(module: str, doing: str) -> Iterator[None]:
    """While the block lasts, the thread is in that module's code; tasks made there are its own."""
    before = _begin(module, doing)
    token = _owner.set(module)
    try:
        yield
    finally:
        _owner.reset(token)
        _end(before)


class Exited(RuntimeError):
    """A task of a module raised SystemExit: the task has ended, the process has not."""


class Owned(Coroutine[Any, Any, T]):
    """The work of a task that belongs to a module: a step each time that it is resumed.

    asyncio lets SystemExit out of a task end the whole loop; here it becomes `Exited`.
    """

    def __init__(self, work: Coroutine[Any, Any, T], module: str, doing: str) -> None:
        self._work = work
        self._module = module
        self._doing = doing

    def send(self, value: Any) -> Any:
        return self._resume(self._work.send, value)

    def throw(self, *error: Any) -> Any:
        return self._resume(self._work.throw, *error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._work.__await__()

    def __getattr__(self, name: str) -> Any:  # cr_frame and the like, for whoever looks at tasks
        return getattr(self._work, name)

    def _resume(self, resume: Callable[..., Any], *given: Any) -> Any:
        before = _begin(self._module, self._doing)
        try:
            return resume(*given)
        except SystemExit as error:
            log.error(
                "a task asked for the end of the process: it is ended, nothing else",
                module=self._module,
                code=error.code,
            )
            raise Exited(f"SystemExit: {error.code}") from error
        finally:
            _end(before)


def create_task(
    work: Coroutine[Any, Any, T], *, module: str, doing: str, name: str
) -> asyncio.Task[T]:
    """A task that belongs to a module, as do all that it starts."""
    context = copy_context()
    context.run(_owner.set, module)
    owned = Owned(work, module, doing)
    return asyncio.get_running_loop().create_task(owned, name=name, context=context)


def is_cancelled(error: BaseException) -> bool:
    """Whether somebody cancels this task, rather than code of a module raising what it likes."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def leave_behind(task: asyncio.Task[Any]) -> None:
    """Let a task be that takes no note of its cancellation: the end of the loop waits for none."""
    asyncio._unregister_task(task)
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # as gather does


def own_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """From now on tasks that are started in a module's code on this loop belong to the module."""
    before = loop.get_task_factory()
    if isinstance(before, _Factory):
        return
    loop.set_task_factory(_Factory(before))


class _Factory:
    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(
        self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any
    ) -> asyncio.Future[Any]:
        context: Context | None = options.get("context")
        module = _owner.get() if context is None else context.get(_owner)
        if module is not None and not isinstance(work, Owned):
            work = Owned(work, module, TASK)
        if self._before is None:
            return asyncio.Task(work, loop=loop, **options)
        task: asyncio.Future[Any] = self._before(loop, work, **options)
        return task
