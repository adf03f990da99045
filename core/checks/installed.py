"""Entry points as installed against pyproject.toml: a new one is not seen before it is installed.

An editable install takes the code from where it lies, but the entry points as they were then.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from core.checks.finding import CORE, Finding, found

OURS = "tessera."
Points = Mapping[tuple[str, str], str]


def check_installed() -> Iterator[Finding]:
    """T008, for every distribution whose source tree is there, and for the tree one stands in."""
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        name = _name(distribution)
        if name in seen:  # Python takes the first on its path, too
            continue
        seen.add(name)
        file = _pyproject(distribution)
        if file is not None and (written := _written(file, name)) is not None:
            yield from _differences(file, written, _installed(distribution))
    file = Path("pyproject.toml").absolute()  # of a plugin that nobody has installed at all
    name = _name_of(file)
    if name and _normal(name) not in {_normal(it) for it in seen}:
        yield from _differences(file, _written(file, name) or {}, {})


def _name(distribution: Distribution) -> str:
    """Its name, without parsing the rest: `distribution.name` reads a whole README with it."""
    told = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    found = re.search(r"^Name:\s*(\S+)", told, re.MULTILINE)
    return found[1] if found else distribution.name or ""


def _name_of(file: Path) -> str:
    """What a project calls itself; empty when there is none, or it cannot be read."""
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
        return str(project.get("name", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _pyproject(distribution: Distribution) -> Path | None:
    """The pyproject.toml that a distribution was installed from; None when it is not there."""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return None
    if isinstance(origin, dict) and origin.get("dir_info", {}).get("editable"):
        file = Path(url2pathname(urlsplit(str(origin.get("url", ""))).path)) / "pyproject.toml"
    else:  # an .egg-info that a build has left beside it comes first where Python starts there
        file = Path(str(distribution.locate_file("pyproject.toml")))
    return file if file.is_file() else None


def _written(file: Path, name: str) -> Points | None:
    try:
        project: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return None
    if _normal(str(project.get("name", ""))) != _normal(name):
        return None
    if "entry-points" in project.get("dynamic", ()):  # told elsewhere, in setup.cfg or setup.py
        return None
    groups: dict[str, dict[str, str]] = project.get("entry-points", {})
    return {
        (group, key): value
        for group, points in groups.items()
        if group.startswith(OURS)
        for key, value in points.items()
    }


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _installed(distribution: Distribution) -> Points:
    return {
        (point.group, point.name): point.value
        for point in distribution.entry_points
        if point.group.startswith(OURS)
    }


def _differences(file: Path, written: Points, installed: Points) -> Iterator[Finding]:
    for group, name in sorted(written.keys() | installed.keys()):
        new, old = written.get((group, name)), installed.get((group, name))
        if _same(new, old):
            continue
        told = f"{name} of {group} is {new or 'not there'} in it and {old or 'not'} installed"
        yield found(
            "T008",
            module=name if group == "tessera.modules" else CORE,
            place=str(file),
            reason=told,
            remedy=f"install it again: pip install -e {file.parent} (`make run` does it for you)",
        )


def _same(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.replace(" ", "") == other.replace(" ", "")
