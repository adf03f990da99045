"""Find the modules that are installed, and load one at a time, so that one cannot break another.

pluggy's own `load_setuptools_entrypoints` stops at the first import that fails; here each entry
point is loaded by itself and whatever it raises becomes that module's reason.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from fastapi.exceptions import DependencyScopeError

from core.belongings import kept
from core.errors import ModuleFailure, by_a_person, text_of
from core.steps import step

GROUP = "tessera.modules"


@dataclass(frozen=True, slots=True)
class Found:
    """An installed module, not yet imported."""

    id: str
    distribution: str
    version: str
    entry_points: tuple[importlib.metadata.EntryPoint, ...]


def find() -> dict[str, Found]:
    """The modules installed in this environment by id, none of them imported."""
    by_id: dict[str, list[importlib.metadata.EntryPoint]] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        by_id.setdefault(entry.name, []).append(entry)
    # Each question for a distribution's name parses its metadata, README and all.
    owners = {id(e.dist): _owner(e.dist) for offered in by_id.values() for e in offered}
    return {name: _describe(name, offered, owners) for name, offered in sorted(by_id.items())}


def _owner(distribution: importlib.metadata.Distribution | None) -> tuple[str, str]:
    """Its name and version; empty when an entry point has none."""
    if distribution is None:
        return "", ""
    told = distribution.metadata
    return told["Name"], told["Version"]


def _describe(
    name: str,
    offered: list[importlib.metadata.EntryPoint],
    owners: Mapping[int, tuple[str, str]],
) -> Found:
    # The same distribution can stand twice on sys.path (an editable install and its metadata).
    unique = {(entry.value, owners[id(entry.dist)][0]): entry for entry in offered}
    first = next(iter(unique.values()))
    distribution, version = owners[id(first.dist)]
    return Found(
        id=name, distribution=distribution, version=version, entry_points=tuple(unique.values())
    )


def module_of(entry: importlib.metadata.EntryPoint) -> str:
    """The module that it names; empty when what it says is no reference (PyPA, entry points)."""
    found = entry.pattern.match(entry.value)
    return found["module"] if found else ""


def load(found: Found) -> object:
    """Import a module's entry point. Raises ModuleFailure whatever goes wrong in there."""
    if len(found.entry_points) > 1:
        owners = ", ".join(sorted(e.dist.name for e in found.entry_points if e.dist))
        raise ModuleFailure(
            f"{len(found.entry_points)} distributions offer a module {found.id!r}: {owners}",
            remedy="uninstall all but one of them",
        )
    entry = found.entry_points[0]
    if not module_of(entry):
        raise ModuleFailure(
            f"its entry point {found.id} = {entry.value!r} names no module",
            remedy=f"write a module's dotted name there in {found.distribution}'s pyproject.toml, "
            f"such as {entry.value.replace('-', '_')!r}, and install it again",
        )
    try:
        with step(found.id, "its import"), kept(found.id):
            return entry.load()
    except BaseException as error:  # SystemExit too: a stranger's import must not end the host
        if by_a_person(error):
            raise
        raise ModuleFailure(
            f"importing {entry.value} failed: {summarise(error)}",
            remedy=remedy_for(error)
            or f"see the traceback with `tessera modules info {found.id}`, or disable it",
        ) from error


def remedy_for(error: BaseException) -> str:
    """What to do about an error that has a well-known cause; empty for others."""
    if isinstance(error, DependencyScopeError):
        return (
            "a dependency with `yield` that uses a session ends after the response unless you "
            'give it scope="function": Depends(it, scope="function")'
        )
    return ""


def summarise(error: BaseException) -> str:
    """One line for a person: what was raised and where in the module's own code.

    What a library raises ends in the library's own lines, which say nothing of the mistake: then
    it is the innermost line of any module's, where there is one.
    """
    frames = traceback.extract_tb(error.__traceback__)
    packages = _packages() if frames else frozenset()
    steps = zip(frames, traceback.walk_tb(error.__traceback__), strict=False)
    own = [told for told, (frame, _) in steps if _package_of(frame) in packages]
    where = _at((own or frames)[-1]) if frames else ""
    text = " ".join(text_of(error).split()) or "no message"
    return f"{type(error).__name__}: {text}{where}"


def _packages() -> frozenset[str]:
    """Those that offer modules here, by the first part of their names."""
    found = itertools.chain.from_iterable(it.entry_points for it in find().values())
    return frozenset(name.partition(".")[0] for entry in found if (name := module_of(entry)))


def _package_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def where_in(folder: Path, error: BaseException) -> str:
    """The innermost line of that folder's files that an error came through; empty without one.

    What a library raises ends in the library's own lines, which say nothing of the mistake.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    return _at(own[-1]) if own else ""


def _at(frame: traceback.FrameSummary) -> str:
    return f" at {frame.filename}:{frame.lineno}"
