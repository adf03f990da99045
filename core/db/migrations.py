"""Migrations: a version table a module, one after another, under one lock for them all.

A failing migration is its module's failure: it is rolled back and reported, the others go on.
A database that cannot be reached, or a lock that cannot be had, is everybody's and is raised.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import structlog
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from core.db.differences import comparison, describe
from core.db.lock import WAIT_SECONDS, migration_lock
from core.db.revisions import ModuleMigrations
from core.db.rules import rule_differences
from core.db.unfilled import REMEDY, Watch, unfilled_in
from core.discovery import where_in
from core.errors import (
    ConfigurationError,
    ModuleFailure,
    Refused,
    Unavailable,
    Unprocessable,
    text_of,
)
from core.events.leaving import Leaving, leave, leaving
from core.steps import MIGRATION, step

if TYPE_CHECKING:
    from core.db.engine import Database

__all__ = [
    "MigrationResult",
    "MigrationStatus",
    "ModuleMigrations",
    "check",
    "downgrade",
    "revision",
    "status",
    "upgrade",
]

log = structlog.get_logger("tessera.migrations")


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """What `upgrade` or `downgrade` did for one module; `before` and `after` are revisions."""

    module: str
    before: str | None
    after: str | None
    failure: ModuleFailure | None = None

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Where one module's tables are; `pending` are the revisions still to run, in order."""

    module: str
    current: str | None
    head: str | None
    pending: tuple[str, ...]
    failure: ModuleFailure | None = None


async def upgrade(
    database: Database,
    modules: Sequence[ModuleMigrations],
    *,
    wait: float = WAIT_SECONDS,
    watch: Watch | None = None,
) -> list[MigrationResult]:
    """Bring every module to its last revision, each in one transaction, in the order given.

    `watch` looks on. Raises Unavailable when the database cannot be reached, Refused when the lock
    is not free within `wait` seconds.
    """

    def up(config: Config) -> None:
        config.attributes["watch"] = watch
        command.upgrade(config, "head")

    async with _locked(database, wait) as engine:
        return [
            await _move(engine, module, up, forward=True) for module in modules if module.location
        ]


async def downgrade(
    database: Database,
    modules: Sequence[ModuleMigrations],
    *,
    target: str = "-1",
    wait: float = WAIT_SECONDS,
) -> list[MigrationResult]:
    """Take modules back to `target` (a revision, "-1", "base"), the last one given first.

    With the tables of a module go the events that it published, once its first revision is back.
    Raises Refused, before anything is done, when `target` does not lie behind one of them.
    """
    moving = [module for module in reversed(modules) if module.location]
    async with _locked(database, wait) as engine:
        async with engine.connect() as connection:
            for module in moving:
                current = await connection.run_sync(_current, module)
                module.refuse_target(target, current=current)
        return [
            await _move(engine, module, lambda config: command.downgrade(config, target))
            for module in moving
        ]


async def losses(database: Database, module: ModuleMigrations, *, target: str) -> Leaving:
    """Which events would go with a downgrade of one module. Raises Refused as that does."""
    if not module.location:
        return Leaving(0, 0)
    async with database.reader.connect() as connection:
        current = await connection.run_sync(_current, module)
        module.refuse_target(target, current=current)
        if not module.is_base(target, current=current):
            return Leaving(0, 0)
        return await connection.run_sync(leaving, module.module)


async def status(database: Database, modules: Sequence[ModuleMigrations]) -> list[MigrationStatus]:
    """Where each module is and what waits; changes nothing and takes no lock."""
    async with database.reader.connect() as connection:
        return [
            await connection.run_sync(_status_of, module) for module in modules if module.location
        ]


async def check(database: Database, modules: Sequence[ModuleMigrations]) -> dict[str, list[str]]:
    """In what each module's models differ from the database, in words; only those that do."""
    found: dict[str, list[str]] = {}
    async with database.reader.connect() as connection:
        for module in modules:
            if differences := await connection.run_sync(_differences, module):
                found[module.module] = differences
    return found


async def revision(
    database: Database,
    module: ModuleMigrations,
    message: str,
    *,
    autogenerate: bool = False,
    warn: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write the module's next revision file; with `autogenerate`, what the models have in addition.

    `warn` is told of each column in it that a table with rows cannot get.
    Raises ModuleFailure when its revisions cannot be read, or its models not be compared, Refused
    when the database is behind.
    """
    script = module.script()
    number = f"{sum(1 for _ in script.walk_revisions()) + 1:04d}"

    def review(_context: object, _revision: object, scripts: list[Any]) -> None:
        for name in unfilled_in(scripts[0]):
            warn(f"column {name} is NOT NULL: rows that are there have no value for it; {REMEDY}")

    def write(connection: Connection) -> Path:
        if autogenerate and _status_of(connection, module).pending:
            raise Refused(f"migrations of {module.module} wait: run `db upgrade` first")
        with _comparing():
            made = command.revision(
                module.config(connection=connection),
                message,
                autogenerate=autogenerate,
                rev_id=number,
                version_path=str(module.folder()),
                process_revision_directives=review,
            )
        assert made is not None
        assert not isinstance(made, list)
        return Path(made.path)

    async with database.reader.connect() as connection:
        return await connection.run_sync(write)


@asynccontextmanager
async def _locked(database: Database, wait: float) -> AsyncIterator[AsyncEngine]:
    engine = database.maintenance_engine()
    try:
        async with migration_lock(engine, wait=wait):
            yield engine
    finally:
        await engine.dispose()


async def _move(
    engine: AsyncEngine,
    module: ModuleMigrations,
    action: Callable[[Config], None],
    *,
    forward: bool = False,
) -> MigrationResult:
    """Run one module's migrations in one transaction; what they raise becomes its failure.

    `forward`: nothing is done when no revision waits, which every start but the first one finds.
    """
    before = after = None
    failure: ModuleFailure | None = None
    try:
        async with engine.begin() as connection:
            before = after = await connection.run_sync(_current, module)
            with step(module.module, MIGRATION):
                waiting = module.pending(before)  # says clearly what Alembic would not
                if forward and not waiting:
                    return MigrationResult(module.module, before, before)
                await connection.run_sync(lambda sync: action(module.config(connection=sync)))
            after = await connection.run_sync(_current, module)
            if after is None:
                await connection.run_sync(_leave, module)
            await connection.run_sync(_no_orphans)
    except (Unavailable, ConfigurationError):
        raise
    except ModuleFailure as error:
        failure = error
    except (Exception, SystemExit) as error:  # a revision is code and may raise anything
        failure = _failed(error, module)
    if failure is not None:
        return MigrationResult(module.module, before, before, failure)
    if after != before:
        log.info("migrated", module=module.module, before=before, after=after)
    return MigrationResult(module.module, before, after)


def _leave(connection: Connection, module: ModuleMigrations) -> None:
    if events := leave(connection, module.module):
        log.info("events went with their module's tables", module=module.module, events=events)


class _NoAutocommit(Exception):
    """A revision wants to leave the one transaction that its module's migrations share."""


def refuse_autocommit() -> NoReturn:
    """What a revision gets for Alembic's ``autocommit_block()``: its module's failure, in words."""
    raise _NoAutocommit(
        "it asks for autocommit_block(), which is not to be had: a module's migrations run in one "
        "transaction, so that they are kept whole or not at all"
    )


def _failed(error: BaseException, module: ModuleMigrations) -> ModuleFailure:
    remedy = "nothing of it was kept; mend the revision, then do it again"
    if isinstance(error, _NoAutocommit):
        told = str(error)
        remedy = (
            "nothing of it was kept; take the block away, and leave what PostgreSQL does in no "
            "transaction (CREATE INDEX CONCURRENTLY, say) to whoever runs the database"
        )
    else:
        told = _told(error)
    failure = ModuleFailure(
        f"its migration failed: {told}{where_in(module.source(), error)}", remedy=remedy
    )
    failure.__cause__ = error
    return failure


def _told(error: BaseException) -> str:
    text = (text_of(error).splitlines() or [""])[0].strip() or "no message"
    return f"{type(error).__name__}: {text}"


def _no_orphans(connection: Connection) -> None:
    """SQLite changes a table by making it anew, which needs foreign keys off: look afterwards."""
    if connection.dialect.name != "sqlite":
        return
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if orphans:
        raise ModuleFailure(
            f"its migration leaves {len(orphans)} rows of {orphans[0][0]} that point to nothing",
            remedy="nothing of it was kept; mend the revision",
        )


def _context(connection: Connection, module: ModuleMigrations) -> MigrationContext:
    config = module.config()
    return MigrationContext.configure(
        connection,
        opts={
            "version_table": module.version_table,
            **comparison(),
            "include_name": config.attributes["include_name"],
            "include_object": config.attributes["include_object"],
        },
    )


def _current(connection: Connection, module: ModuleMigrations) -> str | None:
    return _context(connection, module).get_current_revision()


def _status_of(connection: Connection, module: ModuleMigrations) -> MigrationStatus:
    current = head = None
    try:
        current = _current(connection, module)
        head = module.script().get_current_head()
        return MigrationStatus(module.module, current, head, tuple(module.pending(current)))
    except ModuleFailure as failure:
        return MigrationStatus(module.module, current, head, (), failure)


def _differences(connection: Connection, module: ModuleMigrations) -> list[str]:
    if module.location:
        found = _status_of(connection, module)
        if found.failure is not None:
            return [str(found.failure)]
        if found.pending:
            return [f"migrations wait: {', '.join(found.pending)}"]
    try:
        with _comparing():
            return _compared(connection, module)
    except ModuleFailure as failure:
        connection.rollback()  # PostgreSQL would answer the next module nothing else any more
        return [str(failure)]


@contextmanager
def _comparing() -> Iterator[None]:
    """Tell what the database says against a comparison, of a default for instance, in one line.

    Raises ModuleFailure.
    """
    try:
        yield
    except (SQLAlchemyError, Unprocessable) as error:
        cause = error.__cause__ if isinstance(error, Unprocessable) else None
        statement = " ".join((getattr(error, "statement", None) or "").split())
        raise ModuleFailure(
            f"its models cannot be compared with the database: {_told(cause or error)}"
            + (f" in {statement}" if statement else ""),
            remedy="mend the default of that column in the model",
        ) from error


def _compared(connection: Connection, module: ModuleMigrations) -> list[str]:
    metadata = module.metadata()
    with warnings.catch_warnings():
        # What Alembic says that it cannot compare on SQLite is compared here.
        warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based")
        warnings.filterwarnings("ignore", "autogenerate skipping metadata-specified expression")
        found_by_alembic = describe(compare_metadata(_context(connection, module), metadata))
        return found_by_alembic + rule_differences(connection, metadata)
