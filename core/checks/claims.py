"""Modules that failed, and what two of them claim, or one of them twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from core.checks.codes import CODES
from core.checks.context import CheckContext
from core.checks.finding import Finding, found
from core.errors import ModuleFailure
from core.module_commands import command_of
from core.registry import Module, Registry


def check_failures(registry: Registry) -> Iterator[Finding]:
    """T001, and T002, T003, T004, T010, T101 for a module that failed for what it claims."""
    for module in registry.failed:
        yield found(
            module.code if module.code in CODES else "T001",
            module=module.id,
            place=module.place or _entry(module),
            reason=module.reason,
            remedy=module.remedy or f"mend or disable {module.id}",
        )


def check_commands(registry: Registry) -> Iterator[Finding]:
    """T001 for commands that cannot be made: their module serves all the same."""
    for module in registry.enabled:
        try:
            command_of(module)
        except ModuleFailure as failure:
            yield found(
                "T001",
                module=module.id,
                place=_entry(module),
                reason=failure.reason,
                remedy=failure.remedy,
            )


def _entry(module: Module) -> str:
    implementation = module.hooks.implementation if module.hooks else None
    return getattr(implementation, "__name__", "") or f"[modules.{module.id}]"


def check_claims(context: CheckContext) -> Iterator[Finding]:
    """T002 within one module."""
    for name in _twice(str(table.__tablename__) for table in context.tables):
        yield context.found(
            "T002", name, f"two of its classes are the table {name!r}", "give one another name"
        )


def _twice(names: Iterator[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
