"""A write session that is used, and then waits for slow work: its transaction stays open meanwhile.

On SQLite nobody else can write until then, on PostgreSQL rows stay locked and a connection is
taken. A session begins with its first use, so only the order of use and slow work counts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import partial

from core.checks import names
from core.checks.blocking import Helpers
from core.checks.code import Call, Code, Unit
from core.checks.context import CheckContext
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
_NO_USE = {"add", "add_all", "after_commit", "expunge", "expunge_all", "info", "is_modified"}
"""Methods of a session that send nothing."""


def check_sessions(context: CheckContext) -> Iterator[Finding]:
    """T601: slow work after the first use of a write session."""
    helpers = Helpers(context.code)
    for unit in context.code.units.values():
        for session, body in _sessions(unit):
            if unit.is_async:
                slow_here = partial(is_slow, context.code, unit)
            else:
                slow_here = partial(_blocks, unit, helpers)
            walk = _Walk(unit, session, slow_here)
            walk.block(body, used=None)
            for slow, used in walk.slow.items():
                yield _finding(context, unit, session, slow, used)


def _finding(
    context: CheckContext, unit: Unit, session: str, slow: ast.Call, used: ast.Call
) -> Finding:
    return context.found(
        "T601",
        context.at(unit.source.path, slow.lineno),
        f"{unit.node.name} waits for {ast.unparse(slow.func)}() while the transaction is open that "
        f"began with the use of {session} in line {used.lineno}",
        "do the slow work first: a session begins with its first use",
    )


def _sessions(unit: Unit) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Names that hold a write session, and where: parameters, ``async with ….write() as …``."""
    for name, kind in unit.known.items():
        found = names.runtime(kind[:-2]) if kind and kind.endswith("()") else None
        wanted = WritableSession if unit.is_async else SyncWritableSession
        if isinstance(found, type) and issubclass(found, wanted) and _is_own(unit, name):
            yield name, unit.node.body
    for node in unit.nodes():
        if isinstance(node, ast.AsyncWith):
            yield from ((name, node.body) for name in map(_opened, node.items) if name)


def _is_own(unit: Unit, name: str) -> bool:
    arguments = unit.node.args
    return any(
        a.arg == name for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    )


def _opened(item: ast.withitem) -> str:
    call, name = item.context_expr, item.optional_vars
    if not isinstance(call, ast.Call) or call.args or not isinstance(call.func, ast.Attribute):
        return ""
    return name.id if call.func.attr == "write" and isinstance(name, ast.Name) else ""


class _Walk:
    """Goes through a function in the order in which it runs; `slow` is what came too late."""

    def __init__(self, unit: Unit, session: str, is_slow: Callable[[ast.Call], bool]) -> None:
        self._unit = unit
        self._session = session
        self._is_slow = is_slow
        self._holders: set[str] = set()
        self.slow: dict[ast.Call, ast.Call] = {}

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
        for child in self._parts(node):
            used = self._expression(child, used)
        if isinstance(node, ast.Assign) and self._makes_holder(node.value):
            self._holders.update(t.id for t in node.targets if isinstance(t, ast.Name))
        if not isinstance(node, ast.Call):
            return used
        if used is not None and self._is_slow(node):
            self.slow.setdefault(node, used)
        return used or (node if self._uses(node) else None)

    def _parts(self, node: ast.AST) -> Iterator[ast.AST]:
        """What is in an expression, but not the coroutine that only becomes a task of its own."""
        for child in ast.iter_child_nodes(node):
            apart = isinstance(node, ast.Call) and self._unit.resolve(node.func) in _APART
            yield from ast.iter_child_nodes(child) if apart else (child,)

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
        return isinstance(node, ast.Name) and node.id == self._session


def _leaves(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Return | ast.Raise | ast.Continue | ast.Break)


def _blocks(unit: Unit, helpers: Helpers, call: ast.Call) -> bool:
    """Whether a call in a plain function takes its time, as it would take the loop's elsewhere."""
    made = Call(call, unit.resolve(call.func))
    return bool(helpers.remedy(made) or helpers.way(made))


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
