"""Models against migrations, on a database of its own: SQLite in a temporary folder."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import structlog
from sqlalchemy import inspect

from core.checks.context import CheckContext
from core.checks.finding import Finding, found
from core.checks.types import is_table
from core.checks.validators import models_of
from core.db import migrations
from core.db.engine import Database
from core.db.migrations import MigrationResult, ModuleMigrations
from core.db.unfilled import REMEDY, Watch
from core.errors import ModuleFailure
from core.settings import DatabaseSettings


class _There(NamedTuple):
    """What came of the migrations, module by module."""

    results: list[MigrationResult]
    differences: dict[str, list[str]]
    strays: dict[str, list[str]]
    """Tables that are not named as the module's."""
    unfilled: dict[str, list[tuple[str, str]]]
    """(file, table.column) of columns that a table with rows cannot get."""


def check_migrations(modules: Sequence[ModuleMigrations]) -> Iterator[Finding]:
    """T401 to T403: every module's migrations are run from nothing, then held to its models."""
    for module in modules:
        if module.location is None:
            yield from (_unmade(module, str(table.__tablename__)) for table in module.tables)
    chosen = {module.module: _plain(module) for module in modules if module.location}
    if not chosen:
        return
    with tempfile.TemporaryDirectory(prefix="tessera-check-") as folder:
        there = asyncio.run(_migrate(Path(folder), list(chosen.values())))
    for name, tables in there.strays.items():
        yield from (_stray(chosen[name], table) for table in tables)
    for name, added in there.unfilled.items():
        yield from (_unfilled(chosen[name], file, column) for file, column in added)
    for result in there.results:
        if result.failure is not None:
            there.differences.pop(result.module, None)
            yield _unmigrated(chosen[result.module], result.failure)
    for name, lines in there.differences.items():
        yield from (_different(chosen[name], line) for line in lines)


def check_offered(context: CheckContext) -> Iterator[Finding]:
    """T401 for a table class that the hook tables() keeps quiet about: nobody compares it."""
    offered = {table.__tablename__ for table in context.tables}
    for model in models_of(context):
        name = getattr(model, "__tablename__", "")
        if is_table(model) and name not in offered:
            yield context.found(
                "T401",
                str(name),
                f"tables() does not name {model.__name__}: no migration is written for it, and "
                "none is compared with it",
                "let tables() return it, or take the class away",
            )


def _plain(module: ModuleMigrations) -> ModuleMigrations:
    """Each table once: that one is declared twice is told elsewhere."""
    return replace(module, tables=list({t.__tablename__: t for t in module.tables}.values()))


async def _migrate(folder: Path, modules: Sequence[ModuleMigrations]) -> _There:
    results: list[MigrationResult] = []
    strays: dict[str, list[str]] = {}
    unfilled: dict[str, list[tuple[str, str]]] = {}
    database = Database(DatabaseSettings(url=f"sqlite+aiosqlite:///{folder / 'scratch.db'}"))
    # Its log would tell of failures that are told of as findings.
    silent = structlog.testing.capture_logs()
    try:
        with silent:
            for module in modules:
                before = await _tables(database)
                watch = Watch()
                results += await migrations.upgrade(database, [module], watch=watch)
                unfilled[module.module] = watch.found
                made = sorted(await _tables(database) - before)
                strays[module.module] = [
                    it for it in made if not it.startswith(f"{module.module}_")
                ]
        differences = await migrations.check(database, modules)
        return _There(results, differences, strays, unfilled)
    finally:
        await database.close()


async def _tables(database: Database) -> set[str]:
    async with database.reader.connect() as connection:
        return set(await connection.run_sync(lambda it: inspect(it).get_table_names()))


def _unmade(module: ModuleMigrations, table: str) -> Finding:
    return found(
        "T401",
        module=module.module,
        place=table,
        reason=f"nothing makes the table {table}: the module has no migrations() hook",
        remedy='write a revision, and let migrations() say where: "package:folder"',
    )


def _unmigrated(module: ModuleMigrations, failure: ModuleFailure) -> Finding:
    return found(
        "T402",
        module=module.module,
        place=str(module.location),
        reason=f"on an empty SQLite database {failure.reason}",
        remedy="mend the revision; `db upgrade` tries it on your own database",
    )


def _unfilled(module: ModuleMigrations, file: str, column: str) -> Finding:
    return found(
        "T403",
        module=module.module,
        place=f"{module.location}/{file}",
        reason=f"it adds column {column} as NOT NULL, and nothing says what the rows have there "
        "that the table holds already: on an empty one it runs, on any other it fails",
        remedy=REMEDY,
    )


def _stray(module: ModuleMigrations, table: str) -> Finding:
    return found(
        "T401",
        module=module.module,
        place=str(module.location),
        reason=f"its migrations make the table {table}, which is not named as the module's: nobody "
        "compares it, and another module may claim it",
        remedy=f"give it a name that begins with {module.module}_",
    )


def _different(module: ModuleMigrations, line: str) -> Finding:
    return found(
        "T401",
        module=module.module,
        place=str(module.location),
        reason=line.replace("the database", "what its migrations make"),
        remedy=f"write one: db revision --module {module.module} --autogenerate -m …",
    )
