"""Bodies and dependencies: PATCH that asks for everything, defaults that all requests share."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel

from core.checks.context import CheckContext, Route
from core.checks.finding import Finding
from core.checks.types import Field, classes_in, fields_of, is_required

MARK = "x-required"
"""``Field(json_schema_extra={"x-required": "meant"})``: a PATCH without it means nothing."""

_MUTABLE = (list, dict, set, bytearray)


def check_patches(context: CheckContext) -> Iterator[Finding]:
    """T103: PATCH changes what was sent, so nothing may have to be sent."""
    for route in context.routes:
        dependant = getattr(route.entry.context, "dependant", None)
        if "PATCH" not in route.methods or dependant is None:
            continue
        bodies = list(_bodies(dependant))
        if len(bodies) > 1 or not all(_is_schema(body) for body in bodies):
            # Each is a key of the body: FastAPI puts them into one object.
            required = [body.name for body in bodies if body.field_info.is_required()]
            if required:
                yield _patch(context, route, required)
        for body in bodies:
            for model in classes_in(body.field_info.annotation):
                if fields := [str(field) for field in _required(model)]:
                    yield _patch(context, route, fields)


def _bodies(dependant: Any) -> Iterator[Any]:
    """The parameters that are read from the body, those of dependencies too."""
    yield from dependant.body_params
    for inner in dependant.dependencies:
        yield from _bodies(inner)


def _is_schema(body: Any) -> bool:
    """Whether a parameter is a body of its own, and not one word in it."""
    kinds = classes_in(body.field_info.annotation)
    return any(issubclass(kind, BaseModel | dict | list) or fields_of(kind) for kind in kinds)


def _required(model: type) -> Iterator[Field]:
    for field in fields_of(model):
        if is_required(field) and not _only_one_value(field.annotation) and not field.marked(MARK):
            yield field


def _only_one_value(annotation: Any) -> bool:
    """``kind: Literal["card"]`` tells members of a union apart and changes nothing."""
    return get_origin(annotation) is typing.Literal and len(get_args(annotation)) == 1


def _patch(context: CheckContext, route: Route, required: list[str]) -> Finding:
    return context.found(
        "T103",
        context.place_of(route),
        f"its body must hold {', '.join(required)}, so that one cannot change another field alone",
        "give each a default and take model_dump(exclude_unset=True); if it is meant, say "
        f'Field(json_schema_extra={{"{MARK}": "meant"}})',
    )


# --- defaults that are shared ---


def check_defaults(context: CheckContext) -> Iterator[Finding]:
    """T104 and T105: a default is made once, and all requests share it.

    ruff's B006 sees a list that is written in the signature; this sees one with a name too.
    """
    functions: set[Any] = set()
    kinds: set[type] = set()
    for route in context.routes:
        for call in (route.endpoint, *route.entry.calls):
            kind = call if isinstance(call, type) else type(call)
            function = inspect.unwrap(call) if callable(call) else call
            if function not in functions and context.owns(function):
                functions.add(function)
                yield from _parameters(context, function)
            if kind not in kinds and context.owns(kind):
                kinds.add(kind)
                yield from _attributes(context, kind)


def _parameters(context: CheckContext, function: Any) -> Iterator[Finding]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return
    for parameter in parameters:
        if isinstance(parameter.default, _MUTABLE):
            yield context.found(
                "T104",
                _place(context, function),
                f"the default of {parameter.name} in {function.__name__} is one "
                f"{type(parameter.default).__name__} for all requests",
                "use a tuple, or None, or Query(default_factory=list)",
            )


def _attributes(context: CheckContext, kind: type) -> Iterator[Finding]:
    if issubclass(kind, BaseModel):  # pydantic copies defaults
        return
    for name, value in vars(kind).items():
        if name.startswith("__") or not isinstance(value, _MUTABLE) or _is_class_var(kind, name):
            continue
        yield context.found(
            "T105",
            _place(context, kind),
            f"{kind.__name__}.{name} is one {type(value).__name__} for all requests: the class is "
            "a dependency, and its attributes are shared",
            "make it in __init__; if it is meant to be shared, annotate it as ClassVar",
        )


def _is_class_var(kind: type, name: str) -> bool:
    annotation: Any = inspect.get_annotations(kind).get(name, "")
    bare: Any = ClassVar
    return annotation is bare or get_origin(annotation) is bare or _names_it(annotation)


def _names_it(annotation: Any) -> bool:
    """The same where annotations are text (``from __future__ import annotations``)."""
    return isinstance(annotation, str) and annotation.removeprefix("typing.").startswith("ClassVar")


def _place(context: CheckContext, thing: type | Callable[..., Any]) -> str:
    known: dict[str, ast.AST] = {name: unit.node for name, unit in context.code.units.items()}
    known |= {name: node for name, (_, node) in context.code.classes.items()}
    node = known.get(f"{thing.__module__}.{thing.__qualname__}")
    source = next((s for s in context.sources if s.name == thing.__module__), None)
    if source is None:
        return thing.__qualname__
    return context.at(source.path, getattr(node, "lineno", 1))
