"""Fields of an event that a payload would lose, or whose payload nobody could read again."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import isclass
from typing import Any, get_args

from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

SECRETS = (Secret, SecretStr, SecretBytes)


def loss(event: type[BaseModel]) -> str | None:
    """Which field would not come back as it was recorded, why, and what to do instead.

    Models that are part of the event are looked at like itself.
    """
    return next(_losses(event, "", set()), None)


def _losses(model: type[BaseModel], within: str, seen: set[type[BaseModel]]) -> Iterator[str]:
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        if reason := _reason(field):
            yield f"its field {within}{name} {reason}"
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


def _classes(annotation: Any, seen: tuple[Any, ...] = ()) -> Iterator[type[Any]]:
    """The classes that a type is put together of; `seen` are aliases that lead to it."""
    if isclass(annotation):
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
        yield from _classes(part, seen)
