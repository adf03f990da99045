"""What must be true of the database before a generation starts."""

from __future__ import annotations

import structlog

from core.db import migrations
from core.db.engine import Database
from core.errors import ModuleFailure, Refused
from core.generation import Generation

log = structlog.get_logger("tessera.migrations")


async def prepare_database(
    generation: Generation, database: Database, *, migrate: bool
) -> dict[str, ModuleFailure]:
    """Migrate, or (without `migrate`) refuse to start while migrations wait.

    Gives the modules whose migration failed, each with its reason. Raises Refused.
    """
    modules = generation.registry.migrations()
    if migrate:
        results = await migrations.upgrade(database, modules)
        return {r.module: r.failure for r in results if r.failure is not None}
    waiting = [s for s in await migrations.status(database, modules) if s.pending]
    if waiting:
        listed = ", ".join(f"{s.module} ({len(s.pending)})" for s in waiting)
        raise Refused(f"migrations wait: {listed}; run `tessera db upgrade` first")
    return {}
