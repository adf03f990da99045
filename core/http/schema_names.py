"""The names of schemas in a version's document: a stranger's do not change ours.

Two classes of one name make pydantic call both by their whole path, so that installing a plugin
would rename what every generated client of ours is built on. Here one of them gets the short name
back: ours, where there is one; else the one that the document speaks of first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

OURS = ("core__", "modules__")
"""How whole paths begin of what came with Tessera."""
PREFIX = "#/components/schemas/"
RESERVED = {"Problem": "OwnProblem"}
"""Names that core gives itself, and what a module's class of that name is called instead."""


def settle(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the names that it is to have; the references follow."""
    schemas: dict[str, Any] = document.get("components", {}).get("schemas", {})
    names = _renamed(document, schemas)
    if not names:
        return document
    settled: dict[str, Any] = _follow(document, names)
    renamed = settled["components"]["schemas"]
    settled["components"]["schemas"] = {names.get(k, k): v for k, v in renamed.items()}
    return settled


def _renamed(document: dict[str, Any], schemas: dict[str, Any]) -> dict[str, str]:
    """{name now: name to be}."""
    rivals: dict[str, list[str]] = {}
    for name in _in_order(document, schemas):
        short = name.rpartition("__")[2]
        if short != name and short not in schemas and not short.isdigit():
            rivals.setdefault(short, []).append(name)
    names = {_first(long): short for short, long in rivals.items() if short not in RESERVED}
    return names | {k: v for k, v in RESERVED.items() if k in schemas and v not in schemas}


def _first(rivals: list[str]) -> str:
    return next((name for name in rivals if name.startswith(OURS)), rivals[0])


def _in_order(document: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    """All names, as the paths come to speak of them; the order of modules is that of paths."""
    spoken = dict.fromkeys(_references(document.get("paths", {})))
    waiting = [*spoken]
    while waiting:
        further = dict.fromkeys(_references(schemas.get(waiting.pop(0), {})))
        waiting += [name for name in further if name not in spoken]
        spoken |= further
    return [*spoken, *(name for name in schemas if name not in spoken)]


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        reference = part.get("$ref")
        if isinstance(reference, str) and reference.startswith(PREFIX):
            yield reference.removeprefix(PREFIX)
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _follow(part: Any, names: dict[str, str]) -> Any:
    """A copy in which every reference, a discriminator's too, has the new name."""
    if isinstance(part, dict):
        return {key: _follow(value, names) for key, value in part.items()}
    if isinstance(part, list):
        return [_follow(value, names) for value in part]
    if isinstance(part, str) and part.startswith(PREFIX):
        name = part.removeprefix(PREFIX)
        return PREFIX + names.get(name, name)
    return part
