"""The words of the command line that are taken: core's own, and those that plugins bring."""

from __future__ import annotations

import importlib.metadata

GROUP = "tessera.commands"
VERBS = {
    "serve": "core.cli.serve:serve",
    "db": "core.cli.db:app",
    "modules": "core.cli.modules:app",
    "check": "core.cli.check:check",
    "events": "core.cli.events:app",
    "config": "core.cli.config:app",
    "openapi": "core.cli.openapi:app",
}
"""Core's verbs and where each lies; imported when it is asked for, so that a refusal is quick."""


def installed() -> dict[str, importlib.metadata.EntryPoint]:
    """The verbs that installed distributions add, by name."""
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=GROUP)}


def taken() -> set[str]:
    """The words under which no module's commands can stand."""
    return {*VERBS, *installed()}
