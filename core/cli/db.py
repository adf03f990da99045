"""``db``: the migrations of all modules, or of one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from core.db import migrations
from core.db.engine import Database
from core.db.migrations import MigrationResult, MigrationStatus, ModuleMigrations
from core.errors import ModuleFailure, Refused, Unavailable
from core.logs import configure_logging
from core.settings import Settings, load_settings

if TYPE_CHECKING:
    from core.registry import Registry

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Migrations, of all enabled modules or of one.")

OneModule = Annotated[
    str | None, typer.Option("--module", metavar="ID", help="Only this module's migrations.")
]
TheModule = Annotated[str, typer.Option("--module", metavar="ID", help="Whose migrations.")]


@app.command("upgrade")
def upgrade(module: OneModule = None) -> None:
    """Run what waits, each module in one transaction; a failing one leaves the others done.

    Exits with 1 when one has failed.
    """
    settings = load_settings()
    chosen = _choose(settings, module)
    _report(_run(settings, lambda database: migrations.upgrade(database, chosen)))


@app.command("downgrade")
def downgrade(
    module: TheModule,
    target: Annotated[
        str, typer.Argument(help="A revision, -1 for one step, base for before the first.")
    ] = "-1",
    yes: Annotated[bool, typer.Option("--yes", help="Do it in production too.")] = False,
) -> None:
    """Take one module back: what its tables held since then is lost.

    Where no table of it is left, the events that it published go too; how many is told beforehand.
    """
    settings = load_settings()
    [chosen] = _choose(settings, module)
    if settings.app.environment == "production" and not yes:
        raise Refused(f"{_warning(settings, chosen, target)}; in production it needs --yes")
    if lost := _losses(settings, chosen, target):
        typer.echo(f"{module}: with its tables go {lost}")
    _report(
        _run(settings, lambda database: migrations.downgrade(database, [chosen], target=target))
    )


@app.command("status")
def status(
    module: OneModule = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Where each module's tables are and what waits; exits with 0 either way."""
    settings = load_settings()
    chosen = _choose(settings, module)
    found = _run(settings, lambda database: migrations.status(database, chosen))
    if as_json:
        typer.echo(json.dumps([_document(s) for s in found], indent=2))
        return
    for s in found:
        waiting = f"waiting: {', '.join(s.pending)}" if s.pending else "up to date"
        typer.echo(f"{s.module:<20} {s.current or '-':<16} {s.failure or waiting}")


@app.command("check")
def check(module: OneModule = None) -> None:
    """Say in what the models differ from the database; exits with 1 when they do.

    So it does when a module could not be compared, since it has failed.
    """
    settings = load_settings()
    registry = _compose(settings)
    chosen = _of(registry, module)
    found = _run(settings, lambda database: migrations.check(database, chosen))
    for name, differences in found.items():
        for difference in differences:
            typer.echo(f"{name}: {difference}")
    left_out = [failed.id for failed in registry.failed] if module is None else []
    for name in left_out:
        typer.echo(f"{name}: not compared, since the module is left out")
    if found or left_out:
        raise typer.Exit(1)
    typer.echo("the models and the database agree")


@app.command("revision")
def revision(
    module: TheModule,
    message: Annotated[str, typer.Option("--message", "-m", help="What it does, in one line.")],
    autogenerate: Annotated[
        bool, typer.Option("--autogenerate", help="Write what the models have in addition.")
    ] = False,
) -> None:
    """Write the next revision of a module; read it before you run it.

    A column in it that a table with rows cannot get is told of.
    """
    settings = load_settings()
    [chosen] = _choose(settings, module)
    if chosen.location is None:
        raise Refused(f"module {module!r} has no migrations() hook to say where they lie")
    path = _run(
        settings,
        lambda database: migrations.revision(
            database,
            chosen,
            message,
            autogenerate=autogenerate,
            warn=lambda words: typer.echo(f"tessera: {words}", err=True),
        ),
    )
    typer.echo(path)


def _losses(settings: Settings, module: ModuleMigrations, target: str) -> str:
    """Which events a downgrade would take along, in words; none where there are none."""
    found = _run(settings, lambda database: migrations.losses(database, module, target=target))
    return str(found) if found.events else ""


def _warning(settings: Settings, module: ModuleMigrations, target: str) -> str:
    """What a downgrade loses, also where the database cannot say how much that is."""
    lost = ""
    with suppress(Refused):
        lost = _losses(settings, module, target)
    return (
        f"a downgrade loses data, and with its tables go {lost}"
        if lost
        else "a downgrade loses data"
    )


def _choose(settings: Settings, module: str | None) -> list[ModuleMigrations]:
    """The migrations of every enabled module, or of the one that is named."""
    return _of(_compose(settings), module)


def _compose(settings: Settings) -> Registry:
    """The modules; those that have failed are told of."""
    from core.generation import compose_carefully

    registry = compose_carefully(settings)  # who is out of a server is out here
    for failed in registry.failed:
        typer.echo(f"tessera: module {failed.id} is left out: {failed.reason}", err=True)
    return registry


def _of(registry: Registry, module: str | None) -> list[ModuleMigrations]:
    from core.registry import CORE

    every = registry.migrations()
    if module is None:
        return every
    chosen = [m for m in every if m.module == module]
    if not chosen:
        known = ", ".join(m.module for m in every if m.module != CORE) or "none"
        raise typer.BadParameter(
            f"no module {module!r} is enabled; enabled: {known} "
            f"({CORE} means Tessera's own tables).",
            param_hint="--module",
        )
    return chosen


def _run(settings: Settings, action: Callable[[Database], Awaitable[T]]) -> T:
    """Do something with the database and close it; what stands in the way is one line."""

    configure_logging(settings, quiet=True)

    async def run() -> T:
        database = Database(settings.database)
        try:
            return await action(database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except (Unavailable, ModuleFailure) as error:
        raise Refused(error.for_operators) from error


def _report(results: Sequence[MigrationResult]) -> None:
    for r in results:
        if r.failure is not None:
            typer.echo(f"{r.module}: failed: {r.failure}", err=True)
        elif r.changed:
            typer.echo(f"{r.module}: {r.before or 'nothing'} → {r.after or 'nothing'}")
        else:
            typer.echo(f"{r.module}: {r.after or 'nothing'}, nothing to do")
    if any(r.failure for r in results):
        raise typer.Exit(1)


def _document(status: MigrationStatus) -> dict[str, Any]:
    return {
        "module": status.module,
        "current": status.current,
        "head": status.head,
        "pending": list(status.pending),
        "failure": str(status.failure) if status.failure else None,
    }
