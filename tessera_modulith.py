"""The console script `tessera`: sees that `core` is Tessera's before anything of it is used.

`core` is a name that others use too. A package of that name which comes earlier on Python's path,
or was installed over ours, would end in a traceback about a missing attribute; here it is named.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import NoReturn

DISTRIBUTION = "tessera-modulith"


def main() -> NoReturn:
    """Run the command line, or end with 2 and one line that names a foreign `core`."""
    if found := foreign_core():
        sys.stderr.write(f"tessera: {found}\n")
        sys.exit(2)
    from core.cli import main as command_line

    command_line()


def foreign_core() -> str | None:
    """What is wrong with the `core` that Python finds; None when it is ours.

    One that lies elsewhere is not imported.
    """
    spec = importlib.util.find_spec("core")
    if spec is None:
        return f"there is no package core; install {DISTRIBUTION} again"
    if _home(spec) == Path(__file__).resolve().parent and _has_marker():
        return None
    return (
        f"the package core that Python finds is not Tessera's: {_place(spec)}{_owners()}; "
        "uninstall what it belongs to, or take its folder off Python's path (PYTHONPATH)"
    )


def _home(spec: ModuleSpec) -> Path | None:
    """The folder that holds the package."""
    return Path(spec.origin).resolve().parent.parent if spec.origin else None


def _place(spec: ModuleSpec) -> str:
    return spec.origin or ", ".join(spec.submodule_search_locations or ())


def _has_marker() -> bool:
    """Whether it is ours in content too: another distribution may have written over its files."""
    try:
        import core
    except Exception:
        return False
    return getattr(core, "DISTRIBUTION", None) == DISTRIBUTION


def _owners() -> str:
    names = importlib.metadata.packages_distributions().get("core", [])
    others = sorted(set(names) - {DISTRIBUTION})
    return f" (of the distribution {', '.join(others)})" if others else ""
