"""What a name in a source file stands for, as a dotted path: ``pause`` is ``time.sleep``.

An instance of a class is written with brackets: a parameter ``orders: Orders`` is
``modules.orders.contracts.Orders()``. Nothing is imported for it: what cannot be read from the
source is looked up among the Python modules that are loaded already.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import re
import sys
import types
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from core.checks.sources import Source, imported

Names = dict[str, str | None]
Function = ast.FunctionDef | ast.AsyncFunctionDef
UNKNOWN = None
PATH = r"pathlib(\._local)?\.Path(\.\w+)?\(\)(\.parent|\.\w+\(\))*"
"""What gives a path; the class lies in `pathlib._local` since Python 3.13."""
_NOT_THERE = {"ImportError", "ModuleNotFoundError", "Exception"}
_CONTEXT = "core.context.Context()"
_PROPERTIES = {
    f"{_CONTEXT}.redis": "core.redis.RedisPort()",
    f"{_CONTEXT}.cache": "core.caching.Cache()",
}
"""What the context keeps; its annotations are there for type checkers only."""
_ENTERED = {
    f"{_CONTEXT}.read()": "core.db.session.ReadableSession()",
    f"{_CONTEXT}.write()": "core.db.session.WritableSession()",
}
"""What ``async with`` gives for what it enters, where that is something else."""
_SERVICES = {f"{_CONTEXT}.service", f"{_CONTEXT}.find"}
_ROWS = re.compile(r"core\.db\.(session|sync)\.(Sync)?(Read|Writ)ableSession\(\)\.get(_one)?")
_DEPENDS = re.compile(r"fastapi(\.param_functions)?\.(Depends|Security)")
_YIELDING = (Iterator, Generator, AsyncIterator, AsyncGenerator)
_SAYS_NOTHING = (Any, object)


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Everything in a body that runs with it: not what nested functions and classes hold."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, Function | ast.Lambda | ast.ClassDef):
            yield from own_nodes(child)


def body_nodes(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """The same for a list of statements."""
    for statement in body:
        yield statement
        if not isinstance(statement, Function | ast.ClassDef):
            yield from own_nodes(statement)


def resolve(node: ast.AST, names: Mapping[str, str | None], kinds: Mapping[str, Names]) -> str:
    """The dotted path of an expression; empty when it cannot be told.

    `kinds` holds for each class what its attributes are.
    """
    if isinstance(node, ast.Name):
        if node.id in names:
            return names[node.id] or ""
        return f"builtins.{node.id}" if hasattr(builtins, node.id) else ""
    if isinstance(node, ast.Attribute):
        base = resolve(node.value, names, kinds)
        known = kinds.get(base[:-2], {}).get(node.attr) if base.endswith("()") else None
        dotted = f"{base}.{node.attr}" if base else ""
        return known or _PROPERTIES.get(dotted, dotted)
    if isinstance(node, ast.Call):
        base = resolve(node.func, names, kinds)
        if base == "functools.partial" and node.args:  # calling it calls what it was made of
            return resolve(node.args[0], names, kinds)
        if node.args and (base in _SERVICES or (_ROWS.fullmatch(base) and ".Sync" in base)):
            return instance_of(node.args[0], names) or ""
        return f"{base}()" if base else ""
    if isinstance(node, ast.Await) and isinstance(node.value, ast.Call) and node.value.args:
        if _ROWS.fullmatch(resolve(node.value.func, names, kinds)):
            return instance_of(node.value.args[0], names) or ""
        return ""
    if isinstance(node, ast.Lambda) and isinstance(node.body, ast.Call):
        own = {it.arg: UNKNOWN for it in ast.walk(node.args) if isinstance(it, ast.arg)}
        return resolve(node.body.func, {**names, **own}, kinds)  # calling it calls this
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        base = resolve(node.left, names, kinds)  # ``folder / "name"`` is a path like its folder
        return base if re.fullmatch(PATH, base) else ""
    return ""


def instance_of(annotation: ast.AST | None, names: Mapping[str, str | None]) -> str | None:
    """What a parameter with that annotation holds: an instance of the class that it names."""
    if annotation is None:
        return UNKNOWN
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return instance_of(ast.parse(annotation.value, mode="eval").body, names)
        except SyntaxError:
            return UNKNOWN
    if isinstance(annotation, ast.BinOp):
        return instance_of(annotation.left, names) or instance_of(annotation.right, names)
    if isinstance(annotation, ast.Subscript):
        outer = resolve(annotation.value, names, {}).rpartition(".")[2]
        first = annotation.slice
        if isinstance(first, ast.Tuple):
            first = first.elts[0]
        return instance_of(first, names) if outer in ("Annotated", "Optional") else UNKNOWN
    dotted = resolve(annotation, names, {})
    if not dotted:
        return UNKNOWN
    kind = class_behind(runtime(dotted))
    if kind is None:
        return f"{dotted}()" if runtime(dotted) is None else UNKNOWN
    return UNKNOWN if kind in _SAYS_NOTHING else _instance(kind)


def _instance(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}()"


def depended(default: ast.AST | None, names: Mapping[str, str | None]) -> str | None:
    """What FastAPI puts in for ``=Depends(make)``: what `make` says that it gives or yields."""
    if not isinstance(default, ast.Call) or not default.args:
        return UNKNOWN
    if not _DEPENDS.fullmatch(resolve(default.func, names, {})):
        return UNKNOWN
    made = resolve(default.args[0], names, {})
    function = runtime(made)
    if not inspect.isfunction(function):
        return f"{made}()" if made else UNKNOWN
    kind = class_behind(_given_by(function))
    if kind is not None and kind not in _SAYS_NOTHING:
        return _instance(kind)
    is_plain = not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))
    return f"{made}()" if is_plain and not inspect.isgeneratorfunction(function) else UNKNOWN


def _given_by(function: Any) -> Any:
    try:
        given = typing.get_type_hints(function, include_extras=True).get("return")
    except (NameError, TypeError, AttributeError):
        return None
    return get_args(given)[0] if get_origin(given) in _YIELDING else given


def class_behind(annotation: Any) -> type | None:
    """The class of ``Annotated[C, …]``, ``C | None`` or ``C`` itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return class_behind(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return next((k for a in get_args(annotation) if (k := class_behind(a))), None)
    if isinstance(annotation, type) and annotation is not type(None):
        return annotation
    return None


def runtime(dotted: str) -> Any:
    """What is loaded under a dotted path; None when nothing is, or it cannot be told safely."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        module = sys.modules.get(".".join(parts[:count]))
        if module is not None:
            return _walk(module, parts[count:])
    return None


def _walk(value: Any, parts: list[str]) -> Any:
    for part in parts:
        name, called = part.removesuffix("()"), part.endswith("()")
        try:
            value = vars(value)[name] if inspect.ismodule(value) else _attribute(value, name)
        except (KeyError, AttributeError, TypeError):
            return None
        if called and not isinstance(value, type):
            return None
    return value


def behind(value: Any) -> Any:
    """The function that a property or a cached function was made of; else the value itself."""
    if isinstance(value, property):
        return value.fget
    return value.func if isinstance(value, functools.cached_property) else value


def _attribute(value: Any, name: str) -> Any:
    found = inspect.getattr_static(value, name)
    return found.__func__ if isinstance(found, staticmethod | classmethod) else found


# --- what a body of statements binds ---


def bindings(
    body: list[ast.stmt],
    source: Source,
    *,
    prefix: str,
    outer: Mapping[str, str | None],
    kinds: Mapping[str, Names],
) -> Names:
    """The names that imports, definitions and plain assignments in a body bind.

    `outer` are the names around it; there are none around a whole file, whose own names can be
    looked up once it is loaded.
    """
    found: Names = {}
    nodes = list(body_nodes(body))
    instead = {node for it in nodes if isinstance(it, ast.Try) for node in _instead(it)}
    nodes = [node for node in nodes if node not in instead]
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.update(imported(node, source))
        elif isinstance(node, Function | ast.ClassDef):
            found[node.name] = f"{prefix}.{node.name}"
    seen = {**outer, **found}
    for node in nodes:
        for name, value in _assigned(node, seen, kinds):
            told = value if value or outer else f"{prefix}.{name}"
            clash = name in found and found[name] != told
            found[name] = seen[name] = UNKNOWN if clash else told
    return found


def _instead(node: ast.Try) -> Iterator[ast.AST]:
    """What binds a name anew that an import could not bind: what was imported is what counts."""
    tried = (it for it in body_nodes(node.body) if isinstance(it, ast.Import | ast.ImportFrom))
    wanted = {alias.asname or alias.name for it in tried for alias in it.names}
    for handler in node.handlers:
        kinds = (
            {n.id for n in ast.walk(handler.type) if isinstance(n, ast.Name)}
            if handler.type
            else set()
        )
        if kinds & _NOT_THERE or not kinds:
            yield from (it for it in body_nodes(handler.body) if wanted & set(_bound_by(it)))


def _bound_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, Function | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _assigned(
    node: ast.AST, names: Mapping[str, str | None], kinds: Mapping[str, Names]
) -> Iterator[tuple[str, str | None]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, resolve(node.value, names, kinds) or UNKNOWN
            else:
                yield from _unknown(target)
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        value = resolve(node.value, names, kinds) if node.value else ""
        yield node.target.id, _annotated(node.annotation, value, names)
    elif isinstance(node, ast.With | ast.AsyncWith):
        for item in node.items:
            if isinstance(item.optional_vars, ast.Name):
                entered = resolve(item.context_expr, names, kinds)
                yield item.optional_vars.id, _ENTERED.get(entered, entered) or UNKNOWN
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        yield from _unknown(node.target)
    elif isinstance(node, ast.NamedExpr):
        yield node.target.id, resolve(node.value, names, kinds) or UNKNOWN


def _annotated(annotation: ast.AST, value: str, names: Mapping[str, str | None]) -> str | None:
    """What a name holds: a class that is called says it best, else what its author writes."""
    if value.endswith("()") and isinstance(runtime(value[:-2]), type):
        return value
    return instance_of(annotation, names) or value or UNKNOWN


def _unknown(target: ast.AST) -> Iterator[tuple[str, str | None]]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, UNKNOWN
