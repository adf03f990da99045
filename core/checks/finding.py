"""One thing that is wrong, or looks so: where, why, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase

from core.checks.codes import CODES, Severity, Silence

CORE = "core"
"""The module of a finding that is about the deployment and no module."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    `code` is one of core's, or in a module's own check its id in capitals and three digits
    (``ORDERS001``). `place` is ``file:line``, a route, a table or a settings key. `module` may be
    left out by a module's own check. An "error" makes `check` exit with 1.
    """

    code: str
    place: str
    reason: str
    remedy: str
    module: str = ""
    severity: Severity = "error"

    def as_document(self) -> dict[str, str]:
        """The finding as ``--json`` shows it."""
        return asdict(self)


def found(code: str, *, module: str, place: str, reason: str, remedy: str) -> Finding:
    """A finding of core's own, as severe as its code says."""
    return Finding(code, place, reason, remedy, module=module, severity=CODES[code].severity)


def is_silenced(finding: Finding, silences: Iterable[Silence]) -> bool:
    """Whether the settings ask not to hear of it; a place may hold ``*`` and ``?``."""
    return any(
        silence.code == finding.code
        and silence.module in ("", finding.module)
        and (not silence.place or _is_at(finding.place, silence.place))
        for silence in silences
    )


def _is_at(place: str, pattern: str) -> bool:
    # A route's place ends with its file in brackets, which nobody wants to write out.
    return place == pattern or fnmatchcase(place, pattern) or place.startswith(f"{pattern} (")


_IN_A_VERSION = re.compile(r"(?P<methods>[A-Z,]+) (?P<path>/v\d+/\S*)(?P<where> \(.+:\d+\))")
_VERSION = re.compile(r"/v\d+/")


def once(findings: Iterable[Finding]) -> list[Finding]:
    """The findings, with one for a route that several versions offer from the same line."""
    kept: dict[object, Finding] = {}
    for finding in findings:
        found = _IN_A_VERSION.fullmatch(finding.place)
        alike = replace(
            finding,
            place=_VERSION.sub("/", finding.place),
            reason=_VERSION.sub("/", finding.reason),
        )
        first = kept.setdefault(alike if found else finding, finding)
        if found and first is not finding:
            place = f"{first.place.removesuffix(found['where'])}, {found['path']}{found['where']}"
            kept[alike] = replace(first, place=place)
    return list(kept.values())
