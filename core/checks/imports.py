"""Imports against the manifest: of other modules only what they publish, of core only its API.

import-linter and dev.arrows hold the shipped modules to this; `check` holds a stranger's too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from core.checks import names
from core.checks.context import CheckContext
from core.checks.finding import Finding
from core.checks.sources import Source, absolute

PUBLIC = ("contracts", "events", "extensions")
OF_CORE = ("core.plugin", "core.testing")


def check_imports(context: CheckContext) -> Iterator[Finding]:
    """T005, T006 and T007."""
    declared = {context.module, *context.manifest.requires, *context.manifest.optional}
    for source in context.sources:
        for line, name in imported_names(source):
            place = context.at(source.path, line)
            package, owner = _owner(context, name)
            if owner and owner not in declared:
                yield _undeclared(context, place, name, owner)
            elif owner and owner != context.module and not _is_public(name, package):
                yield _inside(context, place, name, owner)
            if name.startswith("core.") and not name.startswith(OF_CORE):
                yield _core(context, place, name)


def imported_names(source: Source) -> Iterator[tuple[int, str]]:
    """Each import of a file: its line and the dotted name, as far down as it is written.

    Wherever it stands, in a function or below ``if TYPE_CHECKING``, and also as a call of
    ``importlib.import_module``.
    """
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, source)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call | ast.Subscript) and (name := _by_name(node, source)):
            yield node.lineno, name


_IMPORTERS = {
    *("importlib.import_module", "pkgutil.resolve_name", "builtins.__import__"),
    *("sys.modules", "sys.modules.get"),
}


def _by_name(node: ast.Call | ast.Subscript, source: Source) -> str:
    """What ``import_module("…")`` or ``sys.modules["…"]`` asks for; empty for anything else."""
    asked = node.func if isinstance(node, ast.Call) else node.value
    if names.resolve(asked, source.imported, {}) not in _IMPORTERS:
        return ""
    given = [*node.args] if isinstance(node, ast.Call) else [node.slice]
    name, package = [*(_text(it, source) for it in given), "", ""][:2]
    return f"{package}{name}" if name.startswith(".") else name.replace(":", ".")


def _text(node: ast.expr, source: Source) -> str:
    """A text that is written there, or under a name of the file."""
    if isinstance(node, ast.Name):
        written = (
            it.value
            for it in source.tree.body
            if isinstance(it, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == node.id for t in it.targets)
        )
        node = next(written, node)
    text = node.value if isinstance(node, ast.Constant) else ""
    return text if isinstance(text, str) else ""


def _owner(context: CheckContext, name: str) -> tuple[str, str]:
    """The package, and the module whose package it is; empty when it is nobody's."""
    for package, module in context.neighbours.items():
        if name == package or name.startswith(f"{package}."):
            return package, module
    return "", ""


def _is_public(name: str, package: str) -> bool:
    return name.removeprefix(f"{package}.").partition(".")[0] in PUBLIC


def _undeclared(context: CheckContext, place: str, name: str, owner: str) -> Finding:
    return context.found(
        "T005",
        place,
        f"it imports {name}, and its manifest does not name {owner!r}",
        f"add {owner!r} to requires, or to optional when it can do without",
    )


def _inside(context: CheckContext, place: str, name: str, owner: str) -> Finding:
    return context.found(
        "T006",
        place,
        f"it imports {name}, which is the inside of {owner!r}",
        f"take what its {', '.join(PUBLIC)} offer",
    )


def _core(context: CheckContext, place: str, name: str) -> Finding:
    return context.found(
        "T007",
        place,
        f"it imports {name}: core's inside may change in any version",
        "take it from core.plugin",
    )
