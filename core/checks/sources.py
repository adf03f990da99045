"""The source files of a module's package, read and parsed, none of them imported."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True)
class Source:
    """One Python file: its path, the dotted name it is imported by, and what is in it."""

    path: Path
    name: str
    tree: ast.Module

    @cached_property
    def imported(self) -> dict[str, str | None]:
        """What the names stand for that its imports bind, wherever they stand."""
        every = (n for n in ast.walk(self.tree) if isinstance(n, ast.Import | ast.ImportFrom))
        return dict(pair for node in every for pair in imported(node, self))

    @property
    def package(self) -> str:
        """What a relative import in this file starts from."""
        if self.path.name == "__init__.py":
            return self.name
        return self.name.rpartition(".")[0]


def package_of(implementation: object) -> str:
    """The package that an entry point's Python module lies in; itself when it lies in none."""
    if isinstance(implementation, ModuleType):
        name = implementation.__name__
    else:
        name = getattr(implementation, "__module__", "") or type(implementation).__module__
    module = sys.modules.get(name)
    return name if hasattr(module, "__path__") else name.rpartition(".")[0] or name


def read(package: str, *, only: str = "") -> list[Source]:
    """Every file of an imported package; `only` one module of it, where others share the package.

    A file that cannot be parsed has not been imported either, and is left out.
    """
    module = sys.modules.get(only or package)
    if module is None or not module.__file__:
        return []
    file = Path(module.__file__)
    if file.name != "__init__.py":
        return list(_parse(file, module.__name__))
    found: list[Source] = []
    for path in sorted(file.parent.rglob("*.py")):
        found += _parse(path, _dotted(package, path.relative_to(file.parent)))
    return found


def _dotted(package: str, path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)])


def _parse(path: Path, name: str) -> Iterator[Source]:
    try:
        yield Source(path, name, ast.parse(path.read_bytes()))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return


def root_of(package: str) -> Path | None:
    """The folder that the top-level package lies in, which places are told from."""
    top = sys.modules.get(package.partition(".")[0])
    if top is None:
        return None
    if top.__file__:
        file = Path(top.__file__)
        return file.parent.parent if file.name == "__init__.py" else file.parent
    return next((Path(entry).parent for entry in getattr(top, "__path__", ())), None)


def absolute(node: ast.ImportFrom, source: Source) -> str:
    """The dotted name that ``from … import`` takes things from, relative ones made absolute."""
    if not node.level:
        return node.module or ""
    parts = source.package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def imported(node: ast.Import | ast.ImportFrom, source: Source) -> Iterator[tuple[str, str]]:
    """Each name that an import binds, and what it stands for."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (top, top)
        return
    base = absolute(node, source)
    for alias in node.names:
        if alias.name == "*":
            module = sys.modules.get(base)
            names = getattr(module, "__all__", [n for n in vars(module or node) if n[0] != "_"])
            yield from ((name, f"{base}.{name}") for name in names)
        else:
            yield alias.asname or alias.name, f"{base}.{alias.name}"
