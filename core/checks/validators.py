"""Validators that never run: of a field that is not there, undecorated, on a table model."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from core.checks.context import CheckContext
from core.checks.finding import Finding
from core.checks.types import is_table

_LIKE_A_VALIDATOR = re.compile(r"_?(validate|check)_\w+")
_ORDINARY = {"staticmethod", "classmethod"}


def check_validators(context: CheckContext) -> Iterator[Finding]:
    """T301, T302 and T303."""
    for model in models_of(context):
        yield from _missing_fields(context, model)
        yield from _undecorated(context, model)
        if is_table(model):
            yield from _on_table(context, model)


def models_of(context: CheckContext) -> Iterator[type[BaseModel]]:
    """The pydantic models of a module's package, as far as they are loaded."""
    for source in context.sources:
        module = sys.modules.get(source.name)
        for kind in dict.fromkeys(v for v in vars(module or object).values() if _is_model(v)):
            if kind.__module__ == source.name:
                yield kind


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _missing_fields(context: CheckContext, model: type[BaseModel]) -> Iterator[Finding]:
    decorators = model.__pydantic_decorators__
    every: dict[str, Any] = {**decorators.field_validators, **decorators.field_serializers}
    for name, decorator in every.items():
        if name not in vars(model):  # inherited: told of where it was written
            continue
        for field in decorator.info.fields:
            if field != "*" and not _has_field(model, field):
                yield context.found(
                    "T301",
                    _place(context, model, name),
                    f"{model.__name__}.{name} is for the field {field!r}, which neither "
                    f"{model.__name__} nor a class made from it has: it never runs",
                    "mend the name, and leave check_fields to say so",
                )


def _has_field(model: type[BaseModel], field: str) -> bool:
    """Whether the model or a class made from it has the field: mixins are written so."""
    if field in model.model_fields:
        return True
    return any(_has_field(child, field) for child in model.__subclasses__())


def _undecorated(context: CheckContext, model: type[BaseModel]) -> Iterator[Finding]:
    _, node = context.code.classes.get(f"{model.__module__}.{model.__qualname__}", (None, None))
    for item in node.body if node is not None else ():
        if not isinstance(item, ast.FunctionDef) or not _LIKE_A_VALIDATOR.fullmatch(item.name):
            continue
        names = {getattr(decorator, "id", "") for decorator in item.decorator_list}
        if names <= _ORDINARY and not _is_mentioned(context, item.name):
            yield context.found(
                "T302",
                _place(context, model, item.name),
                f"{model.__name__}.{item.name} is named like a validator, has no decorator, and "
                "nobody calls it",
                "decorate it with @field_validator or @model_validator, or take it away",
            )


def _is_mentioned(context: CheckContext, name: str) -> bool:
    return any(name in other.code.mentioned for other in context.everybody or (context,))


def _on_table(context: CheckContext, model: type[BaseModel]) -> Iterator[Finding]:
    decorators = model.__pydantic_decorators__
    every = {**decorators.field_validators, **decorators.model_validators, **decorators.validators}
    for name in every:
        # One that a table shares with its schemas by inheritance runs there.
        if name in vars(model):
            yield context.found(
                "T303",
                _place(context, model, name),
                f"{model.__name__} is a table model, which does not validate in __init__: "
                f"{name} does not run when a row is made",
                "validate in the schema of the request or in the service",
            )


def _place(context: CheckContext, model: type[BaseModel], function: str) -> str:
    name = f"{model.__module__}.{model.__qualname__}"
    unit = context.code.units.get(f"{name}.{function}")
    if unit is not None:
        return context.at(unit.source.path, unit.node.lineno)
    source, node = context.code.classes.get(name, (None, None))
    return context.at(source.path, node.lineno) if source and node else name
