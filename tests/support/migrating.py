"""Planted packages with migrations, and what becomes of them in a database."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from sqlalchemy import Connection, inspect
from sqlmodel import SQLModel

from core.db.engine import Database
from core.db.migrations import ModuleMigrations
from tests.support.plants import Garden

REVISION = """
import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "{number}"
down_revision = {before}
branch_labels = None
depends_on = None


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
"""


def make_table(name: str) -> tuple[str, str]:
    """Statements of a revision that makes a table, and of its way back."""
    columns = 'sa.Column("id", sa.Integer(), primary_key=True), sa.Column("name", sa.String(50))'
    return f'op.create_table("{name}", {columns})', f'op.drop_table("{name}")'


class Nursery:
    """Modules whose migrations a test writes itself."""

    def __init__(self, garden: Garden) -> None:
        self.garden = garden

    def module(
        self, module_id: str, *steps: tuple[str, str], tables: Sequence[type[SQLModel]] = ()
    ) -> ModuleMigrations:
        """A package with one revision for each (upgrade, downgrade)."""
        package = self.garden.plant(module_id, "")
        self.garden.file(package, "migrations/README", "revisions\n")
        for i, step in enumerate(steps, start=1):
            self.revision(module_id, i, step)
        return ModuleMigrations(module_id, f"{package}:migrations", tables)

    def revision(self, module_id: str, number: int, step: tuple[str, str]) -> None:
        """Another revision of a module."""
        before = f'"{number - 1:04d}"' if number > 1 else "None"
        up, down = (textwrap.indent(textwrap.dedent(part).strip(), "    ") for part in step)
        source = REVISION.format(number=f"{number:04d}", before=before, upgrade=up, downgrade=down)
        path = f"migrations/{number:04d}_step.py"
        self.garden.file(f"planted_{module_id}", path, source)


async def tables_of(database: Database) -> set[str]:
    """The names of all tables."""

    def names(connection: Connection) -> set[str]:
        return set(inspect(connection).get_table_names())

    async with database.maintenance_engine().connect() as connection:
        return await connection.run_sync(names)
