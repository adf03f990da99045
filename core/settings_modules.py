"""A module's section of the settings, held against the model that the module declares."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from core.errors import ModuleFailure
from core.masking import one_line
from core.settings_errors import (
    Finding,
    findings,
    is_secret_field,
    secrets_in,
    with_sections,
)
from core.settings_models import ModuleSection, fields_of
from core.settings_sources import VARIABLE_PLACES, Text, variable_of

ModelT = TypeVar("ModelT", bound=BaseModel)


def module_settings(
    section: ModuleSection,
    model: type[ModelT],
    *,
    module: str,
    origins: Mapping[str, str] | None = None,
) -> ModelT:
    """The module's own settings as an instance of its model.

    `origins` (`Settings.origins`) tells where each key was found; a section that came through
    `load_settings` knows by itself. Raises ModuleFailure whose reason names the key and where it
    was found, and whose remedy names the nearest known key.
    """
    options = decode(dict(section.options), model)
    try:
        return model.model_validate(options, extra="forbid")
    except ValidationError as error:
        where = section.origins if origins is None else origins
        raise _failure(error, options, model, module=module, origins=where) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        # A validator of the module broke; its message may show a value, so it stays out.
        raise ModuleFailure(
            f"checking [modules.{module}] raised {type(error).__name__}",
            remedy=f"a validator of {model.__name__} is at fault",
        ) from None


def _failure(
    error: ValidationError,
    options: Mapping[str, Any],
    model: type[BaseModel],
    *,
    module: str,
    origins: Mapping[str, str],
) -> ModuleFailure:
    prefix = f"modules.{module}."
    known = [key for key, _, _ in fields_of(model, prefix=prefix)]
    found = findings(
        error,
        origins=origins,
        known=with_sections([*known, f"{prefix}enabled", f"{prefix}required"]),
        model=model,
        secrets=list(_secrets(options, model)),
        prefix=prefix,
    )
    remedies = dict.fromkeys(_remedy(f, module, origins) for f in found)
    return ModuleFailure("; ".join(one_line(f.text) for f in found), remedy="; ".join(remedies))


def _remedy(found: Finding, module: str, origins: Mapping[str, str]) -> str:
    """What to write where: the nearest known key, or the key whose value is missing or wrong."""
    if found.hint:
        return one_line(found.hint)
    if found.key in ("", f"modules.{module}"):
        return f"mend [modules.{module}]"
    if found.missing:
        return one_line(f"set {found.key}, or {variable_of(found.key)} in the environment")
    in_variable = origins.get(found.key, "").startswith(VARIABLE_PLACES)
    return one_line(f"mend {variable_of(found.key) if in_variable else found.key}")


def _secrets(options: Mapping[str, Any], model: type[BaseModel]) -> Iterator[str]:
    yield from secrets_in(options)
    for name, value in options.items():
        field = model.model_fields.get(name)
        if field and is_secret_field(name, field.annotation):
            yield str(value)


# --- text that stands for a list or a table ---


def decode(value: Any, annotation: Any) -> Any:
    """The same tree with text from the environment turned into what the model asks for.

    A table is JSON; a list is JSON or its items separated by commas; nothing at all is None where
    that is allowed. Text that is none of these stays as it is, for the model to refuse.
    """
    if isinstance(value, Text):
        return _decode_text(value, annotation)
    if isinstance(value, Mapping):
        return {name: decode(inner, _inner(annotation, name)) for name, inner in value.items()}
    return value


def _decode_text(value: Text, annotation: Any) -> Any:
    kind = _container(annotation)
    text = value.strip()
    if not text and type(None) in _choices(annotation):
        return None
    if kind is None:
        return value
    if kind == "table" or text.startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return value
    return [Text(item.strip()) for item in text.split(",") if item.strip()]


def _inner(annotation: Any, name: str) -> Any:
    for choice in _choices(annotation):
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            field = choice.model_fields.get(name)
            return field.annotation if field else None
        if isinstance(get_origin(choice), type) and issubclass(get_origin(choice), Mapping):
            return get_args(choice)[1]
    return None


def _container(annotation: Any) -> str | None:
    """Whether a type is a ``table``, a ``list`` or neither."""
    for choice in _choices(annotation):
        base = get_origin(choice) or choice
        if not isinstance(base, type) or issubclass(base, str | bytes):
            continue
        if issubclass(base, BaseModel | Mapping):
            return "table"
        if issubclass(base, Collection):
            return "list"
    return None


def _choices(annotation: Any) -> Iterator[Any]:
    """The members of a union, and what stands inside of Annotated."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _choices(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for choice in get_args(annotation):
            yield from _choices(choice)
    else:
        yield annotation


# --- sections that nobody reads ---


def section_note(name: str, section: ModuleSection, installed: Collection[str]) -> str:
    """Why a section is kept without being read; nothing when the module is enabled."""
    if name not in installed:
        near = difflib.get_close_matches(name.lower(), installed, 1)
        return "kept: module not installed" + (f'; did you mean "{near[0]}"?' if near else "")
    return "" if section.enabled else "kept: module disabled"


def switch_warnings(modules: Mapping[str, ModuleSection]) -> Iterator[str]:
    """Sections whose `enabled` is misspelt: the module is off and nobody would say why."""
    for name, section in modules.items():
        if section.enabled:
            continue
        for key in section.options:
            if near := difflib.get_close_matches(key, ("enabled", "required"), 1, 0.8):
                where = section.origins.get(f"modules.{name}.{key}", "")
                start = f"{where}: " if where else ""
                yield one_line(
                    f'{start}unknown key "modules.{name}.{key}"; did you mean '
                    f'"modules.{name}.{near[0]}"? The module is not enabled'
                )
