"""The arrows that import-linter cannot draw: python -m dev.arrows [folder of the project].

* a revision imports only alembic, sqlalchemy, sqlmodel and the standard library: what it means must
  not change when a model does;
* a module imports from other modules only what its manifest requires, and requires only what it
  uses;
* main.py imports only core.

Prints ``file:line: what is wrong`` and ends with 1 when there is something. It reads the source and
imports none of it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

FOR_REVISIONS = {"alembic", "sqlalchemy", "sqlmodel"} | sys.stdlib_module_names


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module and where it is imported."""

    name: str
    line: int

    @property
    def top(self) -> str:
        """``sqlalchemy`` of ``sqlalchemy.orm``."""
        return self.name.split(".")[0]


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a manifest says of other modules, and on which line."""

    requires: frozenset[str]
    optional: frozenset[str]
    line: int


def imports(file: Path) -> Iterator[Import]:
    """Everything that a file imports, wherever in it; relative imports are banned by ruff."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (Import(f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def sources(folder: Path) -> list[Path]:
    """The Python files below a folder, in a steady order."""
    return sorted(folder.rglob("*.py"))


def is_revision(file: Path) -> bool:
    """Whether Alembic would take the file for a revision."""
    if not any("migrations" in parent.name for parent in file.parents):
        return False
    body = ast.parse(file.read_text(encoding="utf-8")).body
    names = [node.targets[0] for node in body if isinstance(node, ast.Assign)]
    names += [node.target for node in body if isinstance(node, ast.AnnAssign)]
    return any(isinstance(name, ast.Name) and name.id == "revision" for name in names)


def revisions(root: Path) -> Iterator[str]:
    """Revisions that import what may change under them."""
    for folder in (root / "core", root / "modules", root / "migrations"):
        for file in filter(is_revision, sources(folder)):
            for it in imports(file):
                if it.top not in FOR_REVISIONS:
                    yield f"{file.relative_to(root)}:{it.line}: a revision imports {it.name}"


def _names(call: ast.Call, keyword: str) -> frozenset[str]:
    found = [it.value for it in call.keywords if it.arg == keyword]
    return frozenset(ast.literal_eval(found[0])) if found else frozenset()


def requirements(file: Path) -> Requirements | None:
    """What the ``Manifest(…)`` in a module.py says; None when there is none."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Manifest":
            return Requirements(_names(node, "requires"), _names(node, "optional"), node.lineno)
    return None


def _others(folder: Path) -> Iterable[tuple[Path, Import, str]]:
    for file in sources(folder):
        for it in imports(file):
            parts = it.name.split(".")
            if parts[0] == "modules" and len(parts) > 1 and parts[1] != folder.name:
                yield file, it, parts[1]


def manifests(root: Path) -> Iterator[str]:
    """Modules whose manifest and imports tell different stories."""
    for manifest in sorted(root.glob("modules/*/module.py")):
        folder, where = manifest.parent, manifest.relative_to(root)
        said = requirements(manifest)
        if said is None:
            yield f"{where}:1: there is no Manifest(…) to be read"
            continue
        used = set()
        for file, it, other in _others(folder):
            used.add(other)
            if other not in said.requires | said.optional:
                place = f"{file.relative_to(root)}:{it.line}"
                yield f"{place}: {folder.name} imports {it.name} without requiring {other}"
        for name in sorted(said.requires - used):
            yield f"{where}:{said.line}: {folder.name} requires {name} and imports nothing of it"


def entry(root: Path) -> Iterator[str]:
    """main.py, when it knows more than core."""
    for it in imports(root / "main.py"):
        if it.top != "core":
            yield f"main.py:{it.line}: main imports {it.name}"


def check(root: Path) -> list[str]:
    """Everything that is wrong, as ``file:line: what``."""
    return [*revisions(root), *manifests(root), *entry(root)]


def main() -> int:
    """Print what is wrong; 1 when there is something."""
    found = check(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
    for line in found:
        print(line)
    print(f"arrows: {len(found)} broken" if found else "arrows: all kept")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
