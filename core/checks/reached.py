"""What runs when something is called: decorators, constructors, properties, ``with``, ``key=``.

A generator function runs nothing when it is called: what it gives has to be iterated, or entered
where it is a context manager, and that may be in a thread.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from core.checks.code import Call, Code, Unit

_PROPERTIES = {"property", "cached_property"}
_ITERATE = re.compile(
    r"builtins\.(list|tuple|(frozen)?set|dict|sum|any|all|min|max|sorted)|functools\.reduce"
    r"|collections\.(deque|Counter)"
)
_ITERATING = {"join", "extend"}
"""Methods that do, by name."""
_LAZY = {"builtins.map", "builtins.filter"}
_PASSING_ON = re.compile(r"builtins\.(map|filter|enumerate|zip|iter)|itertools\.\w+(\.\w+)?")
"""Iterate what they are given once they are iterated themselves."""
_RUNNING = re.compile(r"(?P<made>.+)\(\)\.(?P<how>__iter__|__next__|__enter__|send|throw)")
"""What makes a generator go on."""
_HOPS = 10
"""Through so many functions that return another's generator."""
_KEYED = {"builtins.sorted", "builtins.min", "builtins.max"}


class Reached:
    """The functions of one package that a call runs before it comes back."""

    def __init__(self, code: Code) -> None:
        self._code = code

    def units(self, target: str) -> list[Unit]:
        """Those that a call of `target` runs, the outermost decorator's wrapper first."""
        running = _RUNNING.fullmatch(target)
        generator = self._generator(running["made"]) if running else None
        if running and generator is not None:
            is_entered = running["how"] == "__enter__"
            if is_entered != ("contextmanager" in generator.decorator_names):
                return []
            return [it for it in self._through_decorators(generator) if it.is_generator]
        unit = self._unit(target) if target else None
        runs = self._through_decorators(unit) if unit else []
        is_run = running is not None and running["how"].startswith("__")
        return [it for it in runs if is_run or it.is_async or not it.is_generator]

    def _generator(self, name: str, *, hops: int = _HOPS) -> Unit | None:
        """The generator function of which a function gives what it gives."""
        unit = self._code.unit(name)
        if unit is None or unit.is_generator:
            return unit
        made = _returned(unit) if hops else ""
        return self._generator(made[:-2], hops=hops - 1) if made.endswith("()") else None

    def _unit(self, target: str) -> Unit | None:
        """A function, what a class makes its instances with, or what an instance does if called."""
        found = self._code.unit(target)
        if found is None:
            special = "__call__" if target.endswith("()") else "__init__"
            found = self._code.unit(f"{target}.{special}")
        return found

    def silent_calls(self, unit: Unit) -> Iterator[Call]:
        """Calls without brackets: ``with thing:``, properties, and what another calls at once."""
        for node in unit.nodes():
            yield from (Call(it, unit.resolve(it)) for it in _handed(unit, node))
            yield from _run(unit, node)
            if isinstance(node, ast.Attribute):
                target = unit.resolve(node)
                if "()." in target and self._is_property(target):
                    yield Call(node, target)

    def _is_property(self, target: str) -> bool:
        unit = self._code.unit(target)
        return unit is not None and not _PROPERTIES.isdisjoint(unit.decorator_names)

    # --- decorators ---

    def _through_decorators(self, unit: Unit) -> list[Unit]:
        """Itself and the wrappers around it; nothing when it cannot be told what a call runs."""
        runs = [unit]
        for decorator in reversed(unit.odd_decorators):
            made = self._made_by(unit, decorator)
            if made is None:
                return []
            wrapper, given = made
            if wrapper is not None:
                runs = [wrapper, *(runs if given in _called_names(wrapper) else [])]
        return runs

    def _made_by(self, unit: Unit, decorator: ast.expr) -> tuple[Unit | None, str] | None:
        """The wrapper that a decorator of this package makes, and its name for what it wraps.

        No wrapper when it gives back what it was given; None when it cannot be told.
        """
        if isinstance(decorator, ast.Call):
            factory = self._code.unit(unit.resolve(decorator.func))
            maker = self._code.units.get(_returned(factory)) if factory else None
        else:
            maker = self._code.unit(unit.resolve(decorator))
        if maker is None or not maker.node.args.args:
            return None
        given = maker.node.args.args[0].arg
        if _returns_name(maker, given):
            return None, given
        wrapper = self._code.units.get(_returned(maker))
        return (wrapper, given) if wrapper is not None else None


def _handed(unit: Unit, node: ast.AST) -> Iterator[ast.expr]:
    """The functions that a node is handed and calls before it is done: ``sorted(key=…)``."""
    for iterated in _iterated(unit, node):
        # Alone it calls nothing: it may be iterated in a thread.
        if isinstance(iterated, ast.Call) and unit.resolve(iterated.func) in _LAZY:
            yield from iterated.args[:1]
    if isinstance(node, ast.Call):
        target = unit.resolve(node.func)
        if target in _KEYED or (isinstance(node.func, ast.Attribute) and node.func.attr == "sort"):
            yield from (it.value for it in node.keywords if it.arg == "key")
        elif target == "functools.reduce":
            yield from node.args[:1]


def _run(unit: Unit, node: ast.AST) -> Iterator[Call]:
    """What a node enters, and what it iterates: by that a generator runs."""
    for iterated in _iterated(unit, node):
        yield Call(iterated, f"{unit.resolve(iterated)}.__iter__")
    if isinstance(node, ast.With):
        for item in node.items:
            yield Call(item.context_expr, f"{unit.resolve(item.context_expr)}.__enter__")
    elif isinstance(node, ast.Call) and node.args:
        first = node.args[0]
        if isinstance(node.func, ast.Attribute) and node.func.attr == "enter_context":
            yield Call(first, f"{unit.resolve(first)}.__enter__")
        elif unit.resolve(node.func) == "builtins.next":
            yield Call(first, f"{unit.resolve(first)}.__next__")


def _iterated(unit: Unit, node: ast.AST) -> Iterator[ast.expr]:
    """What a node goes through, itself and by way of others: ``enumerate(…)``, ``(… for …)``."""
    for iterated in _gone_through(unit, node):
        yield from _passed_on(unit, iterated)


def _gone_through(unit: Unit, node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.For):
        yield node.iter
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp):
        yield from (it.iter for it in node.generators)
    elif isinstance(node, ast.YieldFrom | ast.Starred):
        yield node.value
    elif isinstance(node, ast.Assign):
        yield from [node.value for it in node.targets if isinstance(it, ast.Tuple | ast.List)]
    elif isinstance(node, ast.Compare) and isinstance(node.ops[-1], ast.In | ast.NotIn):
        yield node.comparators[-1]
    elif isinstance(node, ast.Call):
        is_method = isinstance(node.func, ast.Attribute) and node.func.attr in _ITERATING
        if is_method or _ITERATE.fullmatch(unit.resolve(node.func)):
            yield from node.args


def _passed_on(unit: Unit, iterated: ast.expr) -> Iterator[ast.expr]:
    yield iterated
    inner: list[ast.expr] = []
    if isinstance(iterated, ast.GeneratorExp):
        inner = [it.iter for it in iterated.generators]
    elif isinstance(iterated, ast.Call) and _PASSING_ON.fullmatch(unit.resolve(iterated.func)):
        inner = iterated.args
    for it in inner:
        yield from _passed_on(unit, it)


def _returned(unit: Unit) -> str:
    """What its last ``return`` gives, as a dotted path."""
    values = [n.value for n in unit.nodes() if isinstance(n, ast.Return) and n.value]
    return unit.resolve(values[-1]) if values else ""


def _returns_name(unit: Unit, name: str) -> bool:
    return any(
        isinstance(n, ast.Return) and isinstance(n.value, ast.Name) and n.value.id == name
        for n in unit.nodes()
    )


def _called_names(unit: Unit) -> set[str]:
    return {
        n.func.id for n in unit.nodes() if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    }
