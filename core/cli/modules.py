"""``modules``: what was found, what lives, what failed and why."""

from __future__ import annotations

import io
import json
import sys
import traceback
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.aside import aside
from core.errors import ModuleFailure, Refused

if TYPE_CHECKING:
    from core.registry import Module, Registry
    from core.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Which modules there are, and how they are.")

_ENDLESS = 100_000

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


def inspect() -> Registry:
    """Every module in the state it would have in a generation built now.

    Nothing is started: what failed in the last start of the server is taken from its note.
    """
    from core import last_start
    from core.generation import compose_carefully
    from core.logs import configure_logging
    from core.settings import load_settings

    settings = load_settings()
    configure_logging(settings, quiet=True)
    wanted = {name for name, section in settings.modules.items() if section.enabled}
    failed = {name: it for name, it in last_start.recall().items() if name in wanted}
    registry = compose_carefully(settings, known=failed)
    _try_commands(registry, settings)
    return registry


def _try_commands(registry: Registry, settings: Settings) -> None:
    """Note whose commands cannot be made: such a module serves, and is told of all the same."""
    from core.cli.runner import command_of

    for module in registry.enabled:
        try:
            aside(command_of, module, settings)
        except ModuleFailure as failure:
            module.reason, module.remedy = failure.reason, failure.remedy
            module.cause = failure.__cause__


@app.command("list")
def list_modules(as_json: AsJson = False) -> None:
    """Every module that is installed or named: its state, and the reason when it is not enabled.

    Exits with 1 when one has failed.
    """
    registry = inspect()
    if as_json:
        typer.echo(json.dumps([as_document(m) for m in registry], indent=2))
    else:
        _print_table(registry)
    if registry.failed:
        raise typer.Exit(1)


def as_document(module: Module) -> dict[str, Any]:
    """A module as ``--json`` shows it."""
    return {
        "id": module.id,
        "version": module.version,
        "state": module.state,
        "reason": module.reason,
        "remedy": module.remedy,
        "requires": list(module.requires),
        "distribution": module.distribution,
    }


def _print_table(registry: Registry) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("module", "version", "state", "requires", "from", "reason"):
        table.add_column(heading, overflow="fold")
    colours = {"enabled": "green", "failed": "red", "disabled": "dim"}
    for m in registry:
        state = f"[{colours[m.state]}]{m.state}[/]"
        why = f"{m.reason}; {m.remedy}" if m.remedy else m.reason
        table.add_row(m.id, m.version, state, ", ".join(m.requires), m.distribution, escape(why))
    _print(table)


def _print(table: Table) -> None:
    """As wide as a terminal; for a program or a file one line a row, however long."""
    if sys.stdout.isatty():
        Console().print(table)
        return
    console = Console(file=io.StringIO(), width=_ENDLESS, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


@app.command("info")
def info(
    modules: Annotated[list[str], typer.Argument(metavar="MODULE", help="The modules' ids.")],
    as_json: AsJson = False,
) -> None:
    """Everything about modules: what they offer, what they need, why they failed.

    Exits with 1 when one has failed. JSON is an object for one module, a list for several.
    """
    registry = inspect()
    if unknown := [name for name in modules if name not in registry.modules]:
        known = ", ".join(registry.modules) or "none"
        raise Refused(f"there is no module {unknown[0]!r}; known: {known}")
    found = [registry[name] for name in dict.fromkeys(modules)]
    if as_json:
        documents = [as_document(it) | _offers(it) for it in found]
        typer.echo(json.dumps(documents if len(found) > 1 else documents[0], indent=2))
    else:
        for index, it in enumerate(found):
            _print_info(it, apart=index > 0)
    if any(it.state == "failed" for it in found):
        raise typer.Exit(1)


def _print_info(module: Module, *, apart: bool) -> None:
    if apart:
        typer.echo()
    for key, value in (as_document(module) | _offers(module)).items():
        text = ", ".join(value) if isinstance(value, list) else value
        typer.echo(f"{key:<13} {text or '-'}")
    if module.state == "disabled":
        typer.echo("It is not loaded: what it offers is known once it is enabled.")
    if module.cause is not None:
        typer.echo("".join(traceback.format_exception(module.cause)), err=True)


def _offers(module: Module) -> dict[str, Any]:
    declared = module.declared
    return {
        "summary": module.manifest.summary if module.manifest else "",
        "tables": [str(table.__tablename__) for table in declared.tables],
        "migrations": declared.migrations or "",
        "services": [contract.__qualname__ for contract in declared.services],
        "permissions": [permission.name for permission in declared.permissions],
        "settings": list(type(declared.settings).model_fields),
        "events": [event.event_type for event in declared.events],
        "subscriptions": [
            heard.event_type
            for it in declared.subscriptions
            if (heard := getattr(it, "event", None))
        ],
        "hooks": sorted(module.hooks.names()) if module.hooks is not None else [],
    }


@app.command("graph")
def graph() -> None:
    """The modules and what they require, as a Mermaid picture."""
    typer.echo(as_mermaid(inspect()))


def as_mermaid(registry: Registry) -> str:
    """A Mermaid flowchart; failed modules and disabled ones have their own colours."""
    lines = ["graph TD"]
    for module in registry:
        lines.append(f'    {module.id}["{module.id} {module.version}"]:::{module.state}')
        lines += [f"    {module.id} --> {needed}" for needed in module.requires]
        optional = module.manifest.optional if module.manifest else ()
        lines += [f"    {module.id} -.-> {wished}" for wished in optional]
    lines += [
        "    classDef enabled fill:#e7f5ec,stroke:#1c7c4a",
        "    classDef disabled fill:#f1f2f5,stroke:#8a93a6,stroke-dasharray:4",
        "    classDef failed fill:#fdecea,stroke:#b3261e",
    ]
    return "\n".join(lines)
