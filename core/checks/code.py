"""The functions of a package and whom they call, found in its source."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from core.checks import names
from core.checks.names import Function, Names
from core.checks.sources import Source

_HARMLESS = {
    *("staticmethod", "classmethod", "override", "hookimpl", "contextmanager", "overload"),
    *("property", "cached_property", "cache", "lru_cache", "singledispatch", "wraps"),
}
_ROUTES = {"get", "post", "put", "patch", "delete", "head", "options", "api_route", "websocket"}
_HOPS = 10
"""Through so many files a name is followed."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call in a function: whom, as a dotted path; empty when that cannot be told."""

    node: ast.expr
    target: str


@dataclass(frozen=True, eq=False)
class Unit:
    """A function or method, wherever it is defined, with what its names stand for."""

    name: str
    node: Function
    source: Source
    known: Names
    kinds: dict[str, Names] = field(repr=False)

    @property
    def is_async(self) -> bool:
        """Whether it is written ``async def``."""
        return isinstance(self.node, ast.AsyncFunctionDef)

    @cached_property
    def is_generator(self) -> bool:
        """Whether calling it runs nothing yet and gives something to iterate."""
        return any(isinstance(n, ast.Yield | ast.YieldFrom) for n in self.nodes())

    def nodes(self) -> Iterator[ast.AST]:
        """What runs when it is called, without nested functions."""
        return names.body_nodes(self.node.body)

    def resolve(self, node: ast.AST) -> str:
        """What an expression in it stands for."""
        return names.resolve(node, self.known, self.kinds)

    @cached_property
    def calls(self) -> Sequence[Call]:
        """All calls that it makes itself."""
        return [Call(n, self.resolve(n.func)) for n in self.nodes() if isinstance(n, ast.Call)]

    @property
    def passes_on(self) -> Sequence[str]:
        """Whose results it returns, when it has no other way to end but to raise."""
        values = [n.value for n in self.nodes() if isinstance(n, ast.Return)]
        if not isinstance(self.node.body[-1], ast.Return):
            return ()
        calls = [value.func for value in values if isinstance(value, ast.Call)]
        return [self.resolve(it) for it in calls] if len(calls) == len(values) else ()

    @cached_property
    def awaited(self) -> frozenset[ast.expr]:
        """The expressions that it awaits."""
        return frozenset(node.value for node in self.nodes() if isinstance(node, ast.Await))

    @property
    def is_itself(self) -> bool:
        """Whether its name stands for what is written: no decorator made something else of it."""
        return not self.odd_decorators

    @property
    def odd_decorators(self) -> list[ast.expr]:
        """Those of its decorators that may make something else of it, the outermost first."""
        every = self.node.decorator_list
        return [it for it in every if _last_word(it) not in _HARMLESS | _ROUTES]

    @property
    def decorator_names(self) -> set[str]:
        """The last word of each of its decorators."""
        return {_last_word(decorator) for decorator in self.node.decorator_list}


def _last_word(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        return _last_word(node.func)
    word: str = getattr(node, "attr", "") or getattr(node, "id", "")
    return word


class Code:
    """Every function of a package by its dotted path; ``<locals>`` as Python writes it."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self.units: dict[str, Unit] = {}
        self.classes: dict[str, tuple[Source, ast.ClassDef]] = {}
        self._kinds: dict[str, Names] = {}
        self._bound: Names = {}
        for source in sources:
            self._index(source)

    @cached_property
    def mentioned(self) -> frozenset[str]:
        """Every name and attribute that is used somewhere."""
        return frozenset(
            node.attr if isinstance(node, ast.Attribute) else node.id
            for source in self.sources
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Attribute | ast.Name)
        )

    def plain(self, target: str) -> str:
        """A target in which names are what their files bind, and results what annotations say.

        ``shop.http.session.get`` is ``requests.Session().get`` where that file made the session;
        ``make().get`` is ``Rates().get`` where ``make`` is a function of the package that gives
        `Rates`.
        """
        target = self._from_its_file(target)
        head, called, rest = target.partition("()")
        unit = self.units.get(head) if called else None
        if unit is None or unit.is_async:
            return target
        kind = names.instance_of(unit.node.returns, unit.known) or _made(unit)
        return f"{kind}{rest}" if kind else target

    def _from_its_file(self, target: str) -> str:
        """The target with a name of another file replaced by what that file binds it to."""
        found = target
        for _ in range(_HOPS):
            further = self._one_file_on(found)
            if further == found:
                return found
            found = further
        return target  # names that stand for each other

    def _one_file_on(self, target: str) -> str:
        parts = target.split(".")
        for count in range(len(parts), 0, -1):
            name = ".".join(parts[:count])
            plain = name.removesuffix("()")
            if plain in self._bound:
                value, called = self._bound[plain], name[len(plain) :]
                return ".".join([f"{value}{called}", *parts[count:]]) if value else target
        return target

    def unit(self, target: str) -> Unit | None:
        """The function of this package that a call reaches, through re-exports and base classes."""
        written, target = target, self.plain(target)
        if target in self.units:
            return self.units[target]
        plain = self.units.get(target.replace("().", "."))
        if plain is not None:
            return plain
        found = names.behind(self._loaded(written))
        real = inspect.unwrap(found) if callable(found) else None
        if not inspect.isfunction(real):
            return None
        return self.units.get(f"{real.__module__}.{real.__qualname__}")

    def of(self, function: object) -> Unit | None:
        """The function itself, by where it was defined."""
        real = inspect.unwrap(function) if callable(function) else function
        name = f"{getattr(real, '__module__', '')}.{getattr(real, '__qualname__', '')}"
        return self.units.get(name) or self.units.get(f"{name}.__init__")

    def gives_coroutine(self, target: str, *, hops: int = _HOPS) -> bool:
        """Whether calling `target` only makes a coroutine, which somebody must await.

        So does a plain function that does nothing but pass one on, through `hops` others at most.
        """
        unit = self.unit(target)
        if unit is not None and unit.is_itself:
            if unit.is_async or unit.is_generator:
                return unit.is_async and not unit.is_generator
            targets = unit.passes_on if hops else ()
            return bool(targets) and all(
                it and self.gives_coroutine(it, hops=hops - 1) for it in targets
            )
        return inspect.iscoroutinefunction(_not_deprecated(self._loaded(target)))

    def _loaded(self, target: str) -> Any:
        """What is loaded under a target; nothing is asked for its truth, which a column refuses."""
        found = names.runtime(self.plain(target))
        return names.runtime(target) if found is None else found

    # --- the index ---

    def _index(self, source: Source) -> None:
        body = source.tree.body
        known = names.bindings(body, source, prefix=source.name, outer={}, kinds=self._kinds)
        self._bound |= {f"{source.name}.{name}": value for name, value in known.items()}
        self._visit(body, source, source.name, known, owner="")

    def _visit(
        self, body: list[ast.stmt], source: Source, prefix: str, known: Names, *, owner: str
    ) -> None:
        definitions = [n for n in names.body_nodes(body) if isinstance(n, Function | ast.ClassDef)]
        for node in definitions:
            if isinstance(node, ast.ClassDef):
                self._class(node, source, f"{prefix}.{node.name}", known)
        for node in definitions:
            if isinstance(node, Function):
                self._function(node, source, f"{prefix}.{node.name}", known, owner=owner)

    def _class(self, node: ast.ClassDef, source: Source, name: str, known: Names) -> None:
        self.classes[name] = (source, node)
        self._kinds[name] = dict(_attributes(node, known))
        self._visit(node.body, source, name, known, owner=name)

    def _function(
        self, node: Function, source: Source, name: str, known: Names, *, owner: str
    ) -> None:
        inner = {**known, **dict(_parameters(node, known, owner))}
        if owner:
            inner["super"] = self._parent(owner, known)
        local = f"{name}.<locals>"
        inner |= names.bindings(node.body, source, prefix=local, outer=inner, kinds=self._kinds)
        self.units[name] = Unit(name, node, source, inner, self._kinds)
        self._visit(node.body, source, local, inner, owner="")

    def _parent(self, name: str, known: Names) -> str | None:
        """The first class that a class is made from."""
        bases = self.classes[name][1].bases
        first = bases[0] if bases else None
        inner = first.value if isinstance(first, ast.Subscript) else first
        return names.resolve(inner, known, {}) or None if inner else None


def _made(unit: Unit) -> str:
    """The class of which a function without annotation makes what it gives: ``return Rates()``."""
    values = [n.value for n in unit.nodes() if isinstance(n, ast.Return)]
    is_told = unit.node.returns is not None or unit.is_generator or not unit.is_itself
    if is_told or len(values) != 1 or values[0] is None:
        return ""
    made = unit.resolve(values[0])
    return made if made.endswith("()") and isinstance(names.runtime(made[:-2]), type) else ""


def _not_deprecated(function: object) -> object:
    """What ``@deprecated`` was put around: SQLModel marks ``execute`` so, with a plain function.

    Other wrappers stay: one may well run the coroutine to its end.
    """
    if not callable(function):
        return function
    return inspect.unwrap(function, stop=lambda it: not hasattr(it, "__deprecated__"))


def _parameters(node: Function, known: Names, owner: str) -> Iterator[tuple[str, str | None]]:
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    defaults = _defaults(node.args)
    for argument in (*every, node.args.vararg, node.args.kwarg):
        if argument is not None:
            kind = names.instance_of(argument.annotation, known)
            yield argument.arg, kind or names.depended(defaults.get(argument.arg), known)
    decorators = {_last_word(decorator) for decorator in node.decorator_list}
    if owner and every and "staticmethod" not in decorators:
        yield every[0].arg, owner if "classmethod" in decorators else f"{owner}()"


def _defaults(arguments: ast.arguments) -> dict[str, ast.expr | None]:
    """The default of each parameter that has one."""
    placed = [*arguments.posonlyargs, *arguments.args][::-1]
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    given = zip(placed, arguments.defaults[::-1], strict=False)
    return {argument.arg: default for argument, default in (*given, *named)}


def _attributes(node: ast.ClassDef, known: Names) -> Iterator[tuple[str, str | None]]:
    """What the attributes of a class hold, as its body and its ``__init__`` say."""
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            yield item.target.id, names.instance_of(item.annotation, known)
        elif isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            yield item.targets[0].id, names.resolve(item.value, known, {}) or None
        elif isinstance(item, ast.FunctionDef) and item.name == "__init__":
            inside = {**known, **dict(_parameters(item, known, ""))}
            for statement in names.body_nodes(item.body):
                yield from _set_on_self(statement, inside)


def _set_on_self(node: ast.AST, known: Names) -> Iterator[tuple[str, str | None]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if _is_on_self(target):
                yield target.attr, names.resolve(node.value, known, {}) or None  # type: ignore[attr-defined] # narrowed by _is_on_self
    elif isinstance(node, ast.AnnAssign) and _is_on_self(node.target):
        yield node.target.attr, names.instance_of(node.annotation, known)  # type: ignore[union-attr] # likewise


def _is_on_self(target: ast.AST) -> bool:
    return (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    )
