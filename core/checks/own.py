"""The checks that modules bring along through their hook ``checks()``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from core.checks.context import CheckContext
from core.checks.finding import Finding
from core.checks.forked import ForkFailure, in_a_fork
from core.discovery import summarise
from core.errors import ModuleFailure, by_a_person
from core.hooks import Hooks

CHECK_SECONDS = 20.0
"""How long one of them may take."""


def check_own(context: CheckContext, hooks: Hooks) -> Iterator[Finding]:
    """What a module finds in itself; T009 when it cannot say."""
    try:
        checks = hooks.sequence("checks", of=object)
    except ModuleFailure as failure:
        yield _broken(context, "checks()", failure.reason, failure.remedy)
        return
    for check in checks:
        name = getattr(check, "__qualname__", type(check).__name__)
        try:
            yield from in_a_fork(partial(_found, context, check), seconds=CHECK_SECONDS)
        except ForkFailure as failure:
            yield _broken(context, name, str(failure), f"mend it, or disable {context.module}")


def _found(context: CheckContext, check: Any) -> list[Finding]:
    """What one of them finds. Raises ForkFailure when it cannot say."""
    try:
        return [_held(context, it) for it in check(context)]
    except BaseException as error:  # a stranger's check may raise anything
        if by_a_person(error):
            raise
        raise ForkFailure(f"it raised {summarise(error)}") from None


def _held(context: CheckContext, finding: object) -> Finding:
    """The finding, told as this module's. Raises ValueError for one that breaks the rules."""
    if not isinstance(finding, Finding):
        raise TypeError(f"it gave {type(finding).__name__}, not a Finding")
    if not re.fullmatch(rf"{context.module.upper()}\d{{3}}", finding.code):
        raise ValueError(f"its code {finding.code!r} is not {context.module.upper()} and 3 digits")
    if finding.severity not in ("error", "warning"):
        raise ValueError(f"its severity {finding.severity!r} is neither error nor warning")
    return Finding(
        finding.code,
        finding.place,
        finding.reason,
        finding.remedy,
        module=context.module,
        severity=finding.severity,
    )


def _broken(context: CheckContext, name: str, reason: str, remedy: str) -> Finding:
    return context.found("T009", f"{context.module}: {name}", reason, remedy)
