"""Fields of an event that a payload would lose, or whose payload nobody could read again."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import isclass
from typing import Any, get_args

from pydantic import (
    BaseModel,
    PlainSerializer,
    Secret,
    SecretBytes,
    SecretStr,
    WrapSerializer,
)
from pydantic.fields import FieldInfo

SECRETS = (Secret, SecretStr, SecretBytes)
SERIALIZERS = (PlainSerializer, WrapSerializer)
WRITES_OTHERWISE = (
    "may write something else than was recorded: take it away, and record what is to be written"
)


def loss(event: type[BaseModel]) -> str | None:
    """Which field would not come back as it was recorded, why, and what to do instead.

    Models that are part of the event are looked at like itself.
    """
    return next(_losses(event, "", set()), None)


def _losses(model: type[BaseModel], within: str, seen: set[type[BaseModel]]) -> Iterator[str]:
    if model in seen:
        return
    seen.add(model)
    own = model.__pydantic_decorators__
    for name in own.model_serializers:
        yield f"its model serializer {within}{name} {WRITES_OTHERWISE}"
    serialized = {name for it in own.field_serializers.values() for name in it.info.fields}
    for name, field in model.model_fields.items():
        if reason := _reason(field):
            yield f"its field {within}{name} {reason}"
        if serialized & {name, "*"} or _has_serializer(field):
            yield f"its field {within}{name} has a serializer, which {WRITES_OTHERWISE}"
        for kind in _classes(field.annotation):
            if issubclass(kind, SECRETS):
                yield (
                    f"its field {within}{name} is a {kind.__name__}, of which only asterisks are "
                    "written: leave it out, others may read an event, or make it a str"
                )
            if issubclass(kind, BaseModel):
                yield from _losses(kind, f"{within}{name}.", seen)
    if model.model_config.get("extra") == "forbid":
        for name in model.model_computed_fields:
            yield (
                f"its computed field {within}{name} is written, and refused where it is read: "
                "make it a plain property, or a field that gets its value where it is recorded"
            )


def _reason(field: FieldInfo) -> str:
    if field.exclude or field.exclude_if is not None:
        return "has exclude, so that it is not written: take that away, or leave the field out"
    if field.alias or field.validation_alias or field.serialization_alias:
        return (
            "has an alias, and would be written under one name and read under another: take the "
            "alias away, or give the field that name"
        )
    return ""


def _has_serializer(field: FieldInfo) -> bool:
    """Whether one stands in its annotation."""
    return any(isinstance(it, SERIALIZERS) for it in (*field.metadata, *_parts(field.annotation)))


def _classes(annotation: Any) -> Iterator[type[Any]]:
    """The classes that a type is put together of."""
    return (it for it in _parts(annotation) if isclass(it))


def _parts(annotation: Any, seen: tuple[Any, ...] = ()) -> Iterator[Any]:
    """What a type is put together of, itself first; `seen` are aliases that lead to it."""
    yield annotation
    parts = get_args(annotation)
    origin = getattr(annotation, "__origin__", None)
    if origin is not None:
        parts = (origin, *parts)
    if hasattr(annotation, "__value__"):  # of a `type` statement, which may speak of itself
        if annotation in seen:
            return
        seen, parts = (*seen, annotation), (*parts, annotation.__value__)
    for part in parts:
        yield from _parts(part, seen)
