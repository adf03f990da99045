"""A write session that is used, and then waits for slow work: its transaction stays open meanwhile.

On SQLite nobody else can write until then, on PostgreSQL rows stay locked and a connection is
taken. A session begins with its first use, so only the order of use and slow work counts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from core.checks import names
from core.checks.blocking import Helpers
from core.checks.code import Code, Unit
from core.checks.context import CheckContext
from core.checks.depended import Depended
from core.checks.finding import Finding
from core.db.session import WritableSession
from core.db.sync import SyncWritableSession

_SLOW = re.compile(
    r"(asyncio|anyio)\.sleep|asyncio\.(to_thread|create_subprocess_(exec|shell))"
    r"|anyio\.(to_thread\.run_sync|run_process)"
    r"|(starlette|fastapi)\.concurrency\.run_in_threadpool"
    r"|(httpx2?|aiohttp|aiosmtplib|aiobotocore)\..+"
)
_SLOW_METHODS = {"run_in_executor", "hash"}
"""By name, since what they belong to is often only a contract: ``credentials.hash(password)``."""
_APART = {"asyncio.create_task", "asyncio.ensure_future"}
_TOGETHER = re.compile(r"asyncio\.(gather|wait|wait_for|shield)")
"""What waits for the tasks that it is given, once it is awaited."""
_NO_USE = {"add", "add_all", "after_commit", "expunge", "expunge_all", "info", "is_modified"}
"""Methods of a session that send nothing."""


_Waiting = ast.Call | ast.Await
"""Where a function waits: a call that is slow, or the await of a task that was begun apart."""


@dataclass(frozen=True)
class _Open:
    """A write session in a function: how it is written there, where, and who keeps it."""

    session: str
    body: list[ast.stmt]
    holders: frozenset[str] = frozenset()
    is_given: bool = False
    """Whether the request's own is meant, which its dependencies share."""


@dataclass(frozen=True)
class _Use:
    """Where a transaction began: the session, as it is written, and the call in that function."""

    session: str
    call: ast.Call
    unit: Unit


def check_sessions(context: CheckContext) -> Iterator[Finding]:
    """T601: slow work after the first use of a write session."""
    helpers, depended = Helpers(context.code), Depended(context)
    for unit in context.code.units.values():
        begun = _begun(depended, unit)
        every = [*_sessions(unit), *([_Open("", unit.node.body)] if begun else [])]
        slow_here = _slow_here(context.code, unit, helpers) if every else _nothing_is
        late: dict[_Waiting, _Use] = {}
        for opened in every:
            walk = _Walk(unit, opened, slow_here)
            used = begun.call if begun and (opened.is_given or not opened.session) else None
            walk.block(opened.body, used=used)
            for slow, first in walk.slow.items():
                its = begun if begun and first is begun.call else _Use(opened.session, first, unit)
                late.setdefault(slow, its)
        for slow, use in late.items():
            yield _finding(context, unit, slow, use)


def _slow_here(code: Code, unit: Unit, helpers: Helpers) -> Callable[[ast.Call], bool]:
    if unit.is_async:
        return partial(is_slow, code, unit)
    # A call in a plain function takes its time where it would take the loop's elsewhere.
    blocking = {it.node for it in helpers.calls(unit) if helpers.remedy(it) or helpers.way(it)}
    return blocking.__contains__


def _nothing_is(_: ast.Call) -> bool:
    return False


def _finding(context: CheckContext, unit: Unit, slow: _Waiting, use: _Use) -> Finding:
    what = f"{ast.unparse(slow.func)}()" if isinstance(slow, ast.Call) else ast.unparse(slow.value)
    where = f"in line {use.call.lineno}"
    if use.unit is not unit:
        where = f"in {use.unit.node.name}, {context.at(use.unit.source.path, use.call.lineno)}"
    return context.found(
        "T601",
        context.at(unit.source.path, slow.lineno),
        f"{unit.node.name} waits for {what} while the transaction is open that began with the "
        f"use of {use.session} {where}",
        "do the slow work first: a session begins with its first use",
    )


def _begun(depended: Depended, unit: Unit) -> _Use | None:
    """The use of the request's session by what it depends on, which runs before it."""
    for dependency in depended.of(unit):
        for opened in _sessions(dependency):
            if opened.is_given:
                walk = _Walk(dependency, opened, _nothing_is)
                if used := walk.block(opened.body, used=None):
                    return _Use(opened.session, used, dependency)
        if earlier := _begun(depended, dependency):
            return earlier
    return None


def _sessions(unit: Unit) -> Iterator[_Open]:
    """Parameters, attributes of ``self`` and of parameters, ``async with ….write() as …``."""
    wanted = WritableSession if unit.is_async else SyncWritableSession
    body = unit.node.body
    for name, kind in unit.known.items():
        if not kind or not kind.endswith("()") or not _is_own(unit, name):
            continue
        if _is_session(kind, wanted):
            yield _Open(name, body, is_given=True)
        for attribute, its in unit.kinds.get(kind[:-2], {}).items():
            if its and _is_session(its, wanted):
                holders = frozenset() if _is_first_of_method(unit, name) else frozenset({name})
                yield _Open(f"{name}.{attribute}", body, holders)
    for node in unit.nodes():
        if isinstance(node, ast.AsyncWith):
            yield from (_Open(name, node.body) for name in map(_opened, node.items) if name)


def _is_session(kind: str, wanted: type) -> bool:
    found = names.runtime(kind[:-2]) if kind.endswith("()") else None
    return isinstance(found, type) and issubclass(found, wanted)


def _is_own(unit: Unit, name: str) -> bool:
    arguments = unit.node.args
    return any(
        a.arg == name for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    )


def _is_first_of_method(unit: Unit, name: str) -> bool:
    """Whether it is ``self``, whose other methods tell of themselves."""
    arguments = [*unit.node.args.posonlyargs, *unit.node.args.args]
    return name == "self" and bool(arguments) and arguments[0].arg == name


def _opened(item: ast.withitem) -> str:
    call, name = item.context_expr, item.optional_vars
    if not isinstance(call, ast.Call) or call.args or not isinstance(call.func, ast.Attribute):
        return ""
    return name.id if call.func.attr == "write" and isinstance(name, ast.Name) else ""


class _Walk:
    """Goes through a function in the order in which it runs; `slow` is what came too late."""

    def __init__(self, unit: Unit, opened: _Open, is_slow: Callable[[ast.Call], bool]) -> None:
        self._unit = unit
        self._is_slow = is_slow
        self._session = opened.session
        self._aliases = {opened.session}
        self._holders = set(opened.holders)
        self._tasks: dict[str, tuple[ast.Call, ...]] = {}
        self.slow: dict[_Waiting, ast.Call] = {}

    def block(self, body: list[ast.stmt], used: ast.Call | None) -> ast.Call | None:
        """Go through statements; gives the first use so far, None when there was none."""
        for statement in body:
            used = self._statement(statement, used)
        return used

    def _statement(self, node: ast.stmt, used: ast.Call | None) -> ast.Call | None:
        if isinstance(node, names.Function | ast.ClassDef):
            return used
        if isinstance(node, ast.If):
            used = self._expression(node.test, used)
            return self._branches([node.body, node.orelse], used)
        if isinstance(node, ast.For | ast.AsyncFor | ast.While):
            used = self._expression(node.test if isinstance(node, ast.While) else node.iter, used)
            once = self.block(node.body, used)
            return self.block(node.orelse, self.block(node.body, once))
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                used = self._expression(item.context_expr, used)
            anew = any(self._is_session(i.optional_vars) for i in node.items if i.optional_vars)
            return used if anew else self.block(node.body, used)
        if isinstance(node, ast.Try):
            done = self.block(node.orelse, self.block(node.body, used))
            handled = self._branches([handler.body for handler in node.handlers], done)
            return self.block(node.finalbody, handled)
        if isinstance(node, ast.Match):
            used = self._expression(node.subject, used)
            return self._branches([case.body for case in node.cases], used)
        return self._expression(node, used)

    def _branches(self, bodies: list[list[ast.stmt]], used: ast.Call | None) -> ast.Call | None:
        ends = [(body, self.block(body, used)) for body in bodies]
        going_on = [end for body, end in ends if not (body and _leaves(body[-1]))]
        return used or next(filter(None, going_on), None)

    def _expression(self, node: ast.AST, used: ast.Call | None) -> ast.Call | None:
        """Arguments come before the call that they are for."""
        if isinstance(node, names.Function | ast.Lambda):
            return used
        before = used
        for child in self._parts(node):
            used = self._expression(child, used)
        if isinstance(node, ast.Await) and before is not None:
            self._wait(node, before)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            self._assign(
                node.targets if isinstance(node, ast.Assign) else [node.target], node.value
            )
        if not isinstance(node, ast.Call):
            return used
        if isinstance(node.func, ast.Attribute) and node.func.attr == "cancel":
            self._tasks.clear()  # whichever it was, it ends at once
        if used is not None and self._is_slow(node):
            self.slow.setdefault(node, used)
        return used or (node if self._uses(node) else None)

    def _assign(self, targets: list[ast.expr], value: ast.expr) -> None:
        """Note the names that stand for the session now, an object that keeps it, or tasks."""
        written = {ast.unparse(target) for target in targets}
        self._tasks.update(dict.fromkeys(written, tuple(self._begun_apart(value))))
        if self._is_session(value):
            self._aliases |= written
        else:
            self._aliases -= written - {self._session}
        if self._makes_holder(value):
            self._holders.update(it.id for it in targets if isinstance(it, ast.Name))

    def _parts(self, node: ast.AST) -> Iterator[ast.AST]:
        """What is in an expression, but not the coroutine that only becomes a task of its own."""
        for child in ast.iter_child_nodes(node):
            apart = isinstance(node, ast.Call) and self._unit.resolve(node.func) in _APART
            yield from ast.iter_child_nodes(child) if apart else (child,)

    def _wait(self, node: ast.Await, used: ast.Call) -> None:
        """Note an await of slow work that is a task by now; other work in it has told of itself."""
        told = any(it in self.slow for it in ast.walk(node.value) if isinstance(it, ast.Call))
        if not told and any(map(self._is_slow, self._begun_apart(node.value))):
            self.slow.setdefault(node, used)

    def _begun_apart(self, node: ast.expr) -> Iterator[ast.Call]:
        """The coroutines of the tasks that an expression is, holds, or waits for."""
        inner: list[ast.expr] = []
        if isinstance(node, ast.Name | ast.Attribute):
            yield from self._tasks.get(ast.unparse(node), ())
        elif isinstance(node, ast.Call):
            target = self._unit.resolve(node.func)
            if target in _APART:
                yield from (it for it in node.args[:1] if isinstance(it, ast.Call))
            elif _TOGETHER.fullmatch(target):
                inner = node.args
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            inner = node.elts
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
            inner = [node.elt]
        elif isinstance(node, ast.Starred):
            inner = [node.value]
        for it in inner:
            yield from self._begun_apart(it)

    def _makes_holder(self, value: ast.expr) -> bool:
        """Whether an object is made that keeps the session: ``things = Things(session)``."""
        calls = [node for node in ast.walk(value) if isinstance(node, ast.Call)]
        return any(
            self._is_given(call) and self._is_class(call.func) for call in calls
        ) and self._is_class(calls[0].func)

    def _uses(self, call: ast.Call) -> bool:
        function = call.func
        if isinstance(function, ast.Attribute) and self._is_session(function.value):
            return function.attr not in _NO_USE
        if isinstance(function, ast.Attribute) and self._is_holder(function.value):
            return call in self._unit.awaited or not self._unit.is_async
        return self._is_given(call) and not self._is_class(function)

    def _is_given(self, call: ast.Call) -> bool:
        return any(map(self._is_session, [*call.args, *(it.value for it in call.keywords)]))

    def _is_class(self, function: ast.expr) -> bool:
        return isinstance(names.runtime(self._unit.resolve(function)), type)

    def _is_holder(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id in self._holders

    def _is_session(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in self._aliases


def _leaves(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Return | ast.Raise | ast.Continue | ast.Break)


def is_slow(code: Code, unit: Unit, call: ast.Call, *, depth: int = 4) -> bool:
    """Whether a call is known to take its time, itself or in a coroutine of the same package."""
    target = unit.resolve(call.func)
    if _SLOW.fullmatch(target) and not target.rpartition(".")[2][:1].isupper():
        return not (target.endswith(".sleep") and _is_zero(call))
    if isinstance(call.func, ast.Attribute) and call.func.attr in _SLOW_METHODS:
        return call in unit.awaited
    inner = code.unit(target) if target and depth else None
    if inner is None or inner is unit or not inner.is_async:
        return False
    slow = partial(is_slow, code, inner, depth=depth - 1)
    return any(slow(it.node) for it in inner.calls if isinstance(it.node, ast.Call))


def _is_zero(call: ast.Call) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
