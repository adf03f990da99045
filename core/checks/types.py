"""Walks through the types that an annotation is made of, models' fields included."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import ComputedFieldInfo, FieldInfo
from typing_extensions import TypeAliasType, is_typeddict  # pydantic needs it too

MEANT = "meant"


@dataclass(frozen=True)
class Field:
    """A field that somebody outside sees or fills."""

    owner: type
    name: str
    shown: str
    annotation: Any = field(compare=False)
    info: FieldInfo | ComputedFieldInfo | None = field(default=None, compare=False)

    def marked(self, key: str) -> bool:
        """Whether it says ``Field(json_schema_extra={"<key>": "meant"})``."""
        extra = self.info.json_schema_extra if self.info else None
        return isinstance(extra, dict) and extra.get(key) == MEANT

    def __str__(self) -> str:
        return f"{self.owner.__name__}.{self.name}"


def is_table(kind: Any) -> bool:
    """Whether a class is mapped to a table."""
    return isinstance(kind, type) and hasattr(kind, "__table__")


def classes_in(annotation: Any) -> Iterator[type]:
    """Every class that an annotation is made of: ``list[A | None]`` has list, A and NoneType."""
    annotation = getattr(annotation, "__supertype__", annotation)  # of a NewType
    origin = get_origin(annotation)
    for alias in (annotation, origin):  # ``type Rows = list[Row]``, and ``Rows[int]``
        if isinstance(alias, TypeAliasType):
            yield from classes_in(alias.__value__)
    if origin is typing.Literal:
        return
    if isinstance(origin, type):
        yield origin
    arguments = get_args(annotation)
    for argument in arguments[:1] if origin is typing.Annotated else arguments:
        yield from classes_in(argument)
    if isinstance(annotation, type) and origin is None:
        yield annotation


def fields_of(kind: type) -> list[Field]:
    """The fields of a model, dataclass, typed dictionary or named tuple; none for anything else."""
    if issubclass(kind, BaseModel):
        own = [
            Field(kind, n, i.serialization_alias or n, i.annotation, i)
            for n, i in kind.model_fields.items()
            if not i.exclude
        ]
        made = kind.model_computed_fields.items()
        return own + [Field(kind, n, i.alias or n, i.return_type, i) for n, i in made]
    if dataclasses.is_dataclass(kind) or is_typeddict(kind) or hasattr(kind, "_fields"):
        try:
            hints = typing.get_type_hints(kind, include_extras=True)
        except (NameError, TypeError, AttributeError):
            return []
        return [Field(kind, name, name, hint) for name, hint in hints.items()]
    return []


def is_required(field: Field) -> bool:
    """Whether one cannot be made without it."""
    if isinstance(field.info, FieldInfo):
        return field.info.is_required()
    owner = field.owner
    if is_typeddict(owner):
        return field.name in getattr(owner, "__required_keys__", ())
    if dataclasses.is_dataclass(owner):
        own = next((f for f in dataclasses.fields(owner) if f.name == field.name), None)
        missing = dataclasses.MISSING
        return own is not None and own.default is missing and own.default_factory is missing
    return False


def reachable(
    annotation: Any, *, without: frozenset[str] = frozenset(), _seen: set[type] | None = None
) -> Iterator[type | Field]:
    """Every class and field in an annotation, however deep; a table model is not looked into.

    `without` are fields of the outermost models that are left out.
    """
    seen = set() if _seen is None else _seen
    for kind in classes_in(annotation):
        if kind in seen:
            continue
        seen.add(kind)
        yield kind
        if is_table(kind):
            continue
        for item in fields_of(kind):
            if item.name not in without:
                yield item
                yield from reachable(item.annotation, _seen=seen)
