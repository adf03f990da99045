"""Coroutines that nobody awaits: the call looks as if it did something, and does nothing.

mypy's `unused-coroutine` and `unused-awaitable` see part of it where a package has full types; this
sees it without types too, and sees those whose truth is asked.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from core.checks.code import Unit
from core.checks.context import CheckContext
from core.checks.finding import Finding


def check_awaits(context: CheckContext) -> Iterator[Finding]:
    """T503 and T504."""
    for unit in context.code.units.values():
        for node in unit.nodes():
            yield from _dropped(context, unit, node)
            for tested in _tested(node):
                yield from _asked(context, unit, tested)


def _dropped(context: CheckContext, unit: Unit, node: ast.AST) -> Iterator[Finding]:
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return
    target = unit.resolve(node.value.func)
    if target and context.code.gives_coroutine(target):
        yield context.found(
            "T503",
            context.at(unit.source.path, node.lineno),
            f"{unit.node.name} calls {ast.unparse(node.value.func)}() and never awaits it: "
            "nothing is done",
            f"await {ast.unparse(node.value.func)}(…)",
        )


def _asked(context: CheckContext, unit: Unit, node: ast.expr) -> Iterator[Finding]:
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


def _tested(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions whose truth, or likeness to another, a node asks."""
    if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
        yield from _parts(node.test)
    elif isinstance(node, ast.comprehension):
        for condition in node.ifs:
            yield from _parts(condition)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.BoolOp):
        yield from node.values[:-1]
    elif isinstance(node, ast.Compare):
        yield from (node.left, *node.comparators)


def _parts(test: ast.expr) -> Iterator[ast.expr]:
    # Of `a and b` the first is yielded by _tested; the last one counts only in a test.
    yield test.values[-1] if isinstance(test, ast.BoolOp) else test
