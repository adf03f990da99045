"""Where settings come from: TOML, the secrets directory, .env, the environment.

Each place is read into a `Layer`: a tree of values and, for each key, where it was found. The
layers are laid over one another by pydantic-settings, key by key. What that library does not see
(STACK.md: misspelt variables, missing or broken files) is seen here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from core.errors import ConfigurationError

PREFIX = "TESSERA_"
NESTING = "__"
SETTINGS_VARIABLE = "TESSERA_SETTINGS"
RESERVED = re.compile(r"TESSERA_(SETTINGS|TEST_.*)")
VARIABLE_PLACES = ("environment ", ".env ", "secrets directory ")


class Text(str):
    """A value that came as text and may stand for a number, a list or a table."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """One place that settings come from.

    `origins` holds, for each dotted key that was found, words for where that was; `file` names the
    settings file, where it was read from that.
    """

    data: Mapping[str, Any]
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = field(default=())
    file: str = ""

    def origin_of(self, key: str) -> str | None:
        """Where a key, or the table around it, was found in this layer; None when it was not."""
        while key:
            if key in self.origins:
                return self.origins[key]
            key = key.rpartition(".")[0]
        return None


class LayerSource(PydanticBaseSettingsSource):
    """Hands one layer to pydantic-settings."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self.layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of one top-level field; it is never left to the library to decode."""
        return self.layer.data.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The whole tree: unknown keys too, so that the model refuses them."""
        return dict(self.layer.data)


def flatten(data: Mapping[str, Any], *, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a tree with their dotted keys; an empty table is a leaf."""
    for name, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, prefix=f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def tree_layer(data: Mapping[str, Any], *, origin: str) -> Layer:
    """A layer of a tree that was read from one place."""
    return Layer(data, {key: origin for key, _ in flatten(data)})


def variable_of(key: str) -> str:
    """The environment's name for a dotted key."""
    return PREFIX + key.replace(".", NESTING).upper()


# --- TOML ---

_EXPECTED = {
    "Invalid value": "expected a value: text in quotes, a number, true, false, a date or [a list]",
    "Invalid statement": "expected key = value or [section]",
}


def toml_layer(path: Path, *, named_by: str = "") -> Layer:
    """A settings file. `named_by` tells who asked for it, when somebody did.

    Raises ConfigurationError when it is missing, cannot be read or is not TOML.
    """
    text = _read(path)
    if text is None:
        raise ConfigurationError(_missing(path, named_by))
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} {_broken(str(error), text)}") from None
    return replace(tree_layer(data, origin=str(path)), file=str(path))


def _read(path: Path) -> str | None:
    """The text of a file, None when there is none. Raises ConfigurationError when it is no text."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: expected UTF-8 text") from None


def _missing(path: Path, named_by: str) -> str:
    if named_by:
        return f"{path}: no such settings file (named by {named_by})"
    return (
        f"{path}: not found in {Path.cwd()}; start where it lies, name another file in "
        f"{SETTINGS_VARIABLE}, or write one: [modules.users] and enabled = true make a beginning"
    )


def _broken(message: str, text: str) -> str:
    """The parser's message as ``line 3, column 8: expected …``; it quotes no values."""
    found = re.fullmatch(r"(.*) \(at (line \d+, column \d+|end of document)\)", message, re.DOTALL)
    said, place = (found[1], found[2]) if found else (message, "")
    if not place.startswith("line"):
        place = f"line {len(text.splitlines()) or 1}, at the end"
    return f"{place}: broken TOML: {_EXPECTED.get(said, said[:1].lower() + said[1:])}"


# --- variables: the environment, .env, files in the secrets directory ---


def variables_layer(variables: Mapping[str, str], *, place: str) -> Layer:
    """Prefixed names as a layer; `place` is ``environment``, ``.env`` or ``secrets directory``."""
    data: dict[str, Any] = {}
    origins: dict[str, str] = {}
    warnings: list[str] = []
    for name in _by_depth(variables):
        origin = f"{place} {name}"
        rest = name[len(PREFIX) :]
        if NESTING not in rest:
            warnings.append(f'{origin}: not a setting: the name holds no "{NESTING}"')
            continue
        path = rest.lower().split(NESTING)
        _put(data, path, Text(variables[name]))
        origins[".".join(path)] = origin
    return Layer(data, origins, tuple(warnings))


def _by_depth(names: Iterable[str]) -> list[str]:
    """Our names, tables before what lies in them; names count the same in either case."""
    ours = (n for n in names if n.upper().startswith(PREFIX) and not RESERVED.fullmatch(n.upper()))
    return sorted(ours, key=lambda name: (name.count(NESTING), name))


def _put(data: dict[str, Any], path: list[str], value: Text) -> None:
    for name in path[:-1]:
        inner = data.setdefault(name, {})
        if not isinstance(inner, dict):
            inner = data[name] = {}
        data = inner
    data[path[-1]] = value


def dotenv_variables(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """The names in an .env file that are ours, and warnings about lines that nobody can read.

    Raises ConfigurationError when a line of ours is broken or the file cannot be read.
    """
    text = _read(path) or ""
    bindings = list(parse_stream(StringIO(text)))
    warnings = tuple(_broken_lines(path, bindings))
    readable = "".join(b.original.string for b in bindings if not b.error)
    values = dotenv_values(stream=StringIO(readable))
    return {name: value for name, value in values.items() if value is not None}, warnings


def _broken_lines(path: Path, bindings: Iterable[Binding]) -> Iterator[str]:
    for binding in bindings:
        line, ours = binding.original.line, PREFIX in binding.original.string.upper()
        if binding.error and ours:
            raise ConfigurationError(f"{path} line {line}: expected NAME=value")
        if binding.error:
            yield f"{path} line {line}: expected NAME=value; ignored"
        elif binding.value is None and binding.key and binding.key.upper().startswith(PREFIX):
            raise ConfigurationError(f'{path} line {line}: expected "=" after {binding.key}')


def secret_variables(directory: Path) -> dict[str, str]:
    """The files of a folder whose names begin with the prefix; other files are not ours.

    Raises ConfigurationError when one of ours cannot be read.
    """
    found: dict[str, str] = {}
    for path in sorted(directory.iterdir()):
        if not path.name.upper().startswith(PREFIX) or not path.is_file():
            continue
        try:
            found[path.name] = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "expected UTF-8 text"
            raise ConfigurationError(f"secrets directory {path}: cannot be read: {why}") from None
    return found
