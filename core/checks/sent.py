"""Table models that a route puts into a ``Response`` itself, which no response model filters."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

from starlette.responses import Response

from core.checks import names
from core.checks.code import Unit
from core.checks.context import CheckContext, Route
from core.checks.types import is_table

_ENCODERS = {"fastapi.encoders.jsonable_encoder", "json.dumps", "builtins.list", "builtins.dict"}
_DUMPS = {"model_dump", "model_dump_json", "dict", "json"}
_DUMPED_BY = ("pydantic", "sqlmodel")


def tables_sent(context: CheckContext, route: Route) -> Iterator[type]:
    """Each table model of which a row goes out whole: ``JSONResponse(jsonable_encoder(row))``.

    Only of rows whose class is known (`session.get`, an annotation, a dependency); what names the
    fields, ``row.model_dump(include=…)``, is fine.
    """
    unit = context.code.of(route.endpoint) if route.endpoint else None
    for call in unit.calls if unit else ():
        made = names.runtime(call.target)
        if unit and isinstance(call.node, ast.Call) and _is_response(made):
            given = (
                *call.node.args[:1],
                *(k.value for k in call.node.keywords if k.arg == "content"),
            )
            for content in given:
                yield from _carried(unit, content)


def _is_response(made: object) -> bool:
    return isinstance(made, type) and issubclass(made, Response)


def _carried(unit: Unit, node: ast.expr) -> Iterator[type]:
    """The tables in what a response is made of."""
    if isinstance(node, ast.Dict):
        inside = node.values
    elif isinstance(node, ast.List | ast.Tuple):
        inside = node.elts
    elif isinstance(node, ast.ListComp):
        inside = [node.elt]
    elif isinstance(node, ast.Call):
        yield from _dumped(unit, node)
        return
    else:
        return
    for it in inside:
        yield from _carried(unit, it)


def _dumped(unit: Unit, call: ast.Call) -> Iterator[type]:
    """The tables whose rows a call makes JSON of, or a dictionary."""
    if any(it.arg in ("include", None) for it in call.keywords):
        return
    if unit.resolve(call.func) in _ENCODERS:
        for given in call.args[:1]:
            yield from _row(unit, given)
            yield from _carried(unit, given)
    elif isinstance(call.func, ast.Attribute) and call.func.attr == "encode":
        yield from _carried(unit, call.func.value)  # text, as bytes
    elif isinstance(call.func, ast.Attribute) and call.func.attr in _DUMPS:
        for kind in _row(unit, call.func.value):
            dump = inspect.getattr_static(kind, call.func.attr, None)
            if getattr(dump, "__module__", "").startswith(_DUMPED_BY):
                yield kind


def _row(unit: Unit, node: ast.expr) -> Iterator[type]:
    """The table that an expression is a row of, and those of rows in a list."""
    if isinstance(node, ast.List | ast.Tuple | ast.Dict):
        for it in node.values if isinstance(node, ast.Dict) else node.elts:
            yield from _row(unit, it)
        return
    said = unit.resolve(node)
    kind = names.runtime(said[:-2]) if said.endswith("()") else None
    if isinstance(kind, type) and is_table(kind):
        yield kind
