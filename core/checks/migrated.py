"""Models against migrations, on a database of its own: SQLite in a temporary folder."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from core.checks.finding import Finding, found
from core.db import migrations
from core.db.engine import Database
from core.db.migrations import MigrationResult, ModuleMigrations
from core.settings import DatabaseSettings


def check_migrations(modules: Sequence[ModuleMigrations]) -> Iterator[Finding]:
    """T401 and T402: every module's migrations are run from nothing, then held to its models."""
    chosen = [module for module in modules if module.location or module.tables]
    if not chosen:
        return
    with tempfile.TemporaryDirectory(prefix="tessera-check-") as folder:
        results, differences = asyncio.run(_migrate(Path(folder), chosen))
    by_id = {module.module: module for module in chosen}
    failed = {result.module for result in results if result.failure}
    for result in results:
        if result.failure:
            yield _unmigrated(by_id[result.module], result)
    for module, lines in differences.items():
        if module not in failed:
            yield from (_different(by_id[module], line) for line in lines)


async def _migrate(
    folder: Path, modules: Sequence[ModuleMigrations]
) -> tuple[list[MigrationResult], dict[str, list[str]]]:
    database = Database(DatabaseSettings(url=f"sqlite+aiosqlite:///{folder / 'scratch.db'}"))
    # Its log would tell of failures that are told of as findings.
    silent = structlog.testing.capture_logs()
    try:
        with silent:
            results = await migrations.upgrade(database, modules)
        return results, await migrations.check(database, modules)
    finally:
        await database.close()


def _unmigrated(module: ModuleMigrations, result: MigrationResult) -> Finding:
    assert result.failure is not None
    return found(
        "T402",
        module=module.module,
        place=str(module.location),
        reason=f"on an empty SQLite database {result.failure.reason}",
        remedy="mend the revision; `db upgrade` tries it on your own database",
    )


def _different(module: ModuleMigrations, line: str) -> Finding:
    told = line.replace("the database", "what its migrations make")
    if module.location is None:
        remedy = 'write migrations, and let migrations() say where: "package:folder"'
    else:
        remedy = f"write one: db revision --module {module.module} --autogenerate -m …"
    place = module.location or f"tables() of {module.module}"
    return found("T401", module=module.module, place=place, reason=told, remedy=remedy)
