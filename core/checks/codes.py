"""The codes of findings. A code is for ever: it stands in settings, scripts and documents."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]

FAMILIES: Mapping[str, str] = {
    "T0": "modules",
    "T1": "routes and dependencies",
    "T2": "responses",
    "T3": "models and validators",
    "T4": "migrations",
    "T5": "the event loop",
    "T6": "sessions",
    "T7": "events",
    "T9": "deployment (only with --deploy)",
}


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding; an error makes `check` exit with 1, a warning does not."""

    code: str
    severity: Severity
    title: str

    @property
    def family(self) -> str:
        """In words, what it is about."""
        return FAMILIES[self.code[:2]]


_ALL = (
    Code("T001", "error", "a module has failed"),
    Code("T002", "error", "a table is claimed twice"),
    Code("T003", "error", "a permission is claimed twice"),
    Code("T004", "error", "a prefix is claimed twice"),
    Code("T005", "error", "an import of a module that the manifest does not declare"),
    Code("T006", "error", "an import of another module's inside"),
    Code("T007", "warning", "an import of core's inside"),
    Code("T008", "error", "installed entry points differ from pyproject.toml"),
    Code("T009", "error", "a check could not be carried out"),
    Code("T010", "error", "a service is claimed twice"),
    Code("T101", "error", "two routes of one path and method"),
    Code("T102", "error", "a route that an earlier one hides"),
    Code("T103", "error", "a PATCH body with required fields"),
    Code("T104", "warning", "a mutable default of a parameter"),
    Code("T105", "warning", "a mutable attribute of a class that is a dependency"),
    Code("T201", "error", "a response that carries a table model"),
    Code("T202", "error", "a response field named like a secret"),
    Code("T203", "warning", "a route that does not say what it answers"),
    Code("T301", "error", "a validator of a field that does not exist"),
    Code("T302", "warning", "a function named like a validator that nobody calls"),
    Code("T303", "error", "a validator on a table model, which does not run"),
    Code("T401", "error", "a model that differs from its migrations"),
    Code("T402", "error", "migrations that do not run on an empty database"),
    Code("T403", "error", "a migration that fails on a table with rows"),
    Code("T501", "error", "a blocking call in async code"),
    Code("T502", "error", "a blocking call that async code reaches through a helper"),
    Code("T503", "error", "a coroutine that is never awaited"),
    Code("T504", "error", "a coroutine whose truth is asked instead of its result"),
    Code("T601", "error", "a write session that is used before slow work"),
    Code("T701", "error", "an event that differs from what was published"),
    Code("T702", "error", "an event without a golden file"),
    Code("T703", "error", "a golden payload that cannot be read"),
    Code("T704", "error", "a published version that nothing reads or lifts any more"),
    Code("T705", "warning", "an event with fields that its golden file does not know"),
    Code("T901", "error", "settings with which production refuses to start"),
    Code("T902", "warning", "the docs are served in production"),
    Code("T903", "warning", "every web page may call the API"),
    Code("T904", "warning", "every caller may say that it is a proxy"),
    Code("T905", "warning", "a proxy in front that is not trusted"),
    Code("T906", "warning", "SQLite in production"),
    Code("T907", "warning", "several workers without Redis"),
    Code("T908", "error", "a file with a secret that others may read"),
    Code("T909", "error", "a settings file that others may write"),
    Code("T910", "warning", "a log that tells too much"),
    Code("T911", "warning", "a password of the database that can be guessed"),
    Code("T912", "warning", "plain HTTP on the network"),
)

CODES: Mapping[str, Code] = {code.code: code for code in _ALL}
"""Core's own codes. A module's own are its id in capitals and three digits: ``ORDERS001``."""

_SILENCE = re.compile(r"(?P<code>[^:]+)(:(?P<module>[a-z][a-z0-9]*)(:(?P<place>.+))?)?", re.DOTALL)
_OF_A_MODULE = re.compile(r"(?P<module>[A-Z][A-Z0-9]{1,19})\d{3}")


@dataclass(frozen=True, slots=True)
class Silence:
    """What is not to be reported: ``T203``, ``T203:orders``, ``T203:orders:GET /v1/orders*``."""

    code: str
    module: str = ""
    place: str = ""


def parse_silence(text: str) -> Silence:
    """Read one entry of ``[check] silence``.

    Raises ValueError, naming the nearest code, for one that core does not know and that cannot be
    a module's.
    """
    found = _SILENCE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'"{text}" is not of the form CODE, CODE:module or CODE:module:place')
    code = found["code"]
    if code not in CODES and module_of_code(code) is None:
        near = nearest(code, CODES)
        hint = f'; did you mean "{near}"?' if near else "; `check --list` shows all"
        raise ValueError(f'"{code}" is no code of a check{hint}')
    return Silence(code, found["module"] or "", found["place"] or "")


def module_of_code(code: str) -> str | None:
    """``orders`` of ``ORDERS001``; None for core's codes and what is no code."""
    found = _OF_A_MODULE.fullmatch(code)
    return found["module"].lower() if found else None


def nearest(code: str, known: Collection[str]) -> str:
    """The known code that looks most like this one; empty when none does."""
    near = difflib.get_close_matches(code.upper().replace("O", "0"), known, n=1, cutoff=0.5)
    return near[0] if near else ""
