"""Coroutines that nobody awaits: the call looks as if it did something, and does nothing.

mypy's `unused-coroutine` and `unused-awaitable` see part of it where a package has full types; this
sees it without types too, and sees those that are kept under a name that nobody uses or only asks
about, put into text, handed over where a function is wanted, or whose truth is asked.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from core.checks.code import Unit
from core.checks.context import CheckContext
from core.checks.finding import Finding
from core.checks.names import Function

_SHOWN = re.compile(
    r"builtins\.(str|repr|print)"
    r"|(logging|(logging|structlog(\.stdlib)?)\.get_?[Ll]ogger\(\))"
    r"\.(debug|info|warning|error|exception|critical|log)"
)
_LATER = re.compile(
    r"(fastapi|starlette)(\.background)?\.(BackgroundTasks\(\)\.add_task|BackgroundTask)"
)
"""What calls its first argument once the response is sent: by then nobody sees that it fails."""
_ASKED = {"builtins.bool", "builtins.any", "builtins.all"}


def check_awaits(context: CheckContext) -> Iterator[Finding]:
    """T503 and T504."""
    for unit in context.code.units.values():
        used = _used(unit)
        for node in unit.nodes():
            for value, why in _lost(unit, node, used):
                yield from _dropped(context, unit, value, why)
            for value in _called_later(unit, node):
                why = "hands over what it gives where a function is wanted"
                yield from _dropped(context, unit, value, why, remedy="hand over {}, without ()")
            for function in _called_later(unit, node):
                yield from _not_run(context, unit, function)
            for tested in _tested(unit, node):
                yield from _asked(context, unit, tested)
        for value, why in _overwritten(unit, used):
            yield from _dropped(context, unit, value, why)


# --- T503: lost ---


def _used(unit: Unit) -> set[str]:
    """The names that it or a function in it reads, and those that are not its own.

    To ask whether a coroutine is true, or the same as something, is no use of it: it stays lost.
    """
    used: set[str] = set()
    nodes = list(ast.walk(unit.node))
    only_asked = {name for node in nodes for name in _only_asked(unit, node)}
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            if node not in only_asked:
                used.add(node.id)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            used.update(node.names)
    return used


def _only_asked(unit: Unit, node: ast.AST) -> Iterator[ast.Name]:
    """The names whose truth or likeness a node asks, and which it passes on to nobody."""
    for condition in _conditions(node):
        yield from _names(condition)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield from _names(node.operand)
    elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for value in node.values[:-1]:  # a coroutine is true, so it is never what `and` gives
            yield from _names(value)
    elif isinstance(node, ast.Compare):
        for value in (node.left, *node.comparators):
            yield from _names(value)
    elif isinstance(node, ast.Call) and unit.resolve(node.func) in _ASKED:
        for value in node.args:
            yield from _names(value)


def _conditions(node: ast.AST) -> Sequence[ast.expr]:
    """What decides which way a node goes."""
    if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
        return [node.test]
    if isinstance(node, ast.comprehension):
        return node.ifs
    if isinstance(node, ast.match_case) and node.guard is not None:
        return [node.guard]
    return []


def _names(test: ast.expr) -> Iterator[ast.Name]:
    if isinstance(test, ast.Name):
        yield test
    elif isinstance(test, ast.BoolOp):
        for value in test.values:
            yield from _names(value)


def _lost(unit: Unit, node: ast.AST, used: set[str]) -> Iterator[tuple[ast.expr, str]]:
    """Values that nobody can await any more, and why."""
    if isinstance(node, ast.Expr):
        yield node.value, "never awaits it"
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _bound(target, node.value, used)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        yield from _bound(node.target, node.value, used)
    elif isinstance(node, ast.FormattedValue):
        yield node.value, "puts it into text, not what it would give"
    elif isinstance(node, ast.Call) and _SHOWN.fullmatch(unit.resolve(node.func)):
        shown = (*node.args, *(it.value for it in node.keywords))
        yield from ((value, "shows it, not what it would give") for value in shown)


def _called_later(unit: Unit, node: ast.AST) -> Iterator[ast.expr]:
    """What stands where a function is wanted that is called later: ``tasks.add_task(save)``."""
    if isinstance(node, ast.Call) and _LATER.fullmatch(unit.resolve(node.func)):
        yield from node.args[:1]
        yield from (it.value for it in node.keywords if it.arg == "func")


def _bound(target: ast.expr, value: ast.expr, used: set[str]) -> Iterator[tuple[ast.expr, str]]:
    if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
        for one, its in zip(target.elts, value.elts, strict=False):
            yield from _bound(one, its, used)
    elif isinstance(target, ast.Name) and target.id not in used:
        yield value, f"never awaits {target.id}"


def _overwritten(unit: Unit, used: set[str]) -> Iterator[tuple[ast.expr, str]]:
    """Values under a name that is used later, when it has another: ``x = save(); x = 2``."""
    own = used - set(_shared(unit))
    for node in (unit.node, *unit.nodes()):
        for block in (getattr(node, part, None) for part in ("body", "orelse", "finalbody")):
            if isinstance(block, list):
                yield from _overwritten_in(block, own)


def _overwritten_in(block: list[ast.stmt], own: set[str]) -> Iterator[tuple[ast.expr, str]]:
    waiting: dict[str, ast.expr] = {}
    for statement in block:
        found = [it for it in ast.walk(statement) if isinstance(it, ast.Name)]
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if not isinstance(statement, ast.Assign) or not isinstance(target, ast.Name):
            target = None  # what else it does with a name, once or never, is not told here
        for name in found:
            if name is not target:
                waiting.pop(name.id, None)
        if isinstance(statement, ast.Assign) and target is not None and target.id in own:
            if target.id in waiting:
                yield waiting[target.id], f"gives {target.id} another value before it awaits it"
            waiting[target.id] = statement.value


def _shared(unit: Unit) -> Iterator[str]:
    """The names that a function in it may read meanwhile, and those that are not its own."""
    for node in unit.nodes():
        if isinstance(node, Function | ast.Lambda):
            yield from (it.id for it in ast.walk(node) if isinstance(it, ast.Name))
        elif isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names


def _dropped(
    context: CheckContext, unit: Unit, value: ast.expr, why: str, *, remedy: str = "await {}(…)"
) -> Iterator[Finding]:
    for call in _held(value):
        target = unit.resolve(call.func)
        if target and context.code.gives_coroutine(target):
            name = ast.unparse(call.func)
            yield context.found(
                "T503",
                context.at(unit.source.path, call.lineno),
                f"{unit.node.name} calls {name}() and {why}: nothing is done",
                remedy.format(name),
            )


def _not_run(context: CheckContext, unit: Unit, function: ast.expr) -> Iterator[Finding]:
    """A plain function whose coroutine is lost: ``tasks.add_task(lambda: save())``.

    Starlette calls it in a thread, and awaits only what a coroutine function gives.
    """
    target = unit.resolve(function)
    if isinstance(function, ast.Lambda):
        name = ast.unparse(function.body.func) if isinstance(function.body, ast.Call) else ""
    elif isinstance(function, ast.Name | ast.Attribute):
        itself = context.code.unit(target) if target else None
        name = ast.unparse(function) if itself and not itself.is_async else ""
    else:
        return
    if name and target and context.code.gives_coroutine(target):
        yield context.found(
            "T503",
            context.at(unit.source.path, function.lineno),
            f"{unit.node.name} hands over a plain function that only passes on what {name}() "
            "gives, and nobody awaits that: nothing is done",
            "hand over the coroutine function itself and its arguments, or an async def",
        )


def _held(value: ast.expr) -> Iterator[ast.Call]:
    """The calls whose results a value is or holds: `[save(), save()]` has two."""
    if isinstance(value, ast.Call):
        yield value
    elif isinstance(value, ast.List | ast.Tuple | ast.Set):
        for item in value.elts:
            yield from _held(item)
    elif isinstance(value, ast.ListComp | ast.SetComp):
        yield from _held(value.elt)
    elif isinstance(value, ast.IfExp):
        yield from (*_held(value.body), *_held(value.orelse))
    elif isinstance(value, ast.BoolOp):
        yield from _held(value.values[-1])


# --- T504: asked ---


def _asked(context: CheckContext, unit: Unit, node: ast.expr) -> Iterator[Finding]:
    if isinstance(node, ast.NamedExpr):
        node = node.value
    if not isinstance(node, ast.Call):
        return
    target = unit.resolve(node.func)
    if target and context.code.gives_coroutine(target):
        name = ast.unparse(node.func)
        yield context.found(
            "T504",
            context.at(unit.source.path, node.lineno),
            f"{unit.node.name} asks whether {name}() is true, which a coroutine always is",
            f"await {name}(…)",
        )


def _tested(unit: Unit, node: ast.AST) -> Iterator[ast.expr]:
    """The expressions whose truth, or likeness to another, a node asks."""
    for condition in _conditions(node):
        yield from _parts(condition)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.BoolOp):
        yield from node.values[:-1]
    elif isinstance(node, ast.Compare):
        yield from (node.left, *node.comparators)
    elif isinstance(node, ast.Call) and node.args and unit.resolve(node.func) in _ASKED:
        first = node.args[0]
        yield first.elt if isinstance(first, ast.GeneratorExp | ast.ListComp) else first


def _parts(test: ast.expr) -> Iterator[ast.expr]:
    # Of `a and b` the first is yielded by _tested; the last one counts only in a test.
    yield test.values[-1] if isinstance(test, ast.BoolOp) else test
