"""Columns that no table with rows can get: NOT NULL, and nothing says what the rows have there.

On an empty database nobody notices. So the statements of a migration are watched while they run:
what they add is seen in plain words and in a batch, for which SQLite makes the table anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alembic.ddl.base import AddColumn, RenameTable
from alembic.operations.ops import AddColumnOp, ModifyTableOps
from sqlalchemy import Column, Connection, Insert, event, inspect

REMEDY = (
    "give it a server_default in the revision, or add it with nullable=True, fill it, and only "
    "then make it NOT NULL"
)


@dataclass
class Watch:
    """Which columns the revisions of one module add so; `found` has (file, table.column)."""

    found: list[tuple[str, str]] = field(default_factory=list)
    _older: set[str] = field(default_factory=set)  # tables that the running revision did not make
    _seen: list[str] = field(default_factory=list)
    _copied: dict[str, list[Column[Any]]] = field(default_factory=dict)

    def begin(self, connection: Connection) -> None:
        """Look at every statement on this connection, as long as it is open."""
        self._older = set(inspect(connection).get_table_names())
        event.listen(connection, "before_execute", self._see)

    def applied(self, *, ctx: Any, step: Any, **_: Any) -> None:
        """For Alembic, after each revision: what was seen is that one's."""
        file = Path(step.revision_map.get_revision(step.up_revision_id).path).name
        self.found += [(file, name) for name in self._seen]
        self._seen.clear()
        self._copied.clear()
        self._older = set(inspect(ctx.connection).get_table_names())

    def _see(self, _connection: Connection, statement: Any, *_: Any) -> None:
        if isinstance(statement, AddColumn):
            self._add(statement.table_name, [statement.column])
        elif isinstance(statement, Insert) and statement.select is not None:
            self._copied[statement.table.name] = _left_out(statement)
        elif isinstance(statement, RenameTable):
            old, new = str(statement.table_name), str(statement.new_table_name)
            if old in self._older:
                self._older.add(new)
            self._add(new, self._copied.pop(old, []))  # the table has been made anew

    def _add(self, table: str, columns: Sequence[Column[Any]]) -> None:
        if table in self._older:
            self._seen += [f"{table}.{it.name}" for it in columns if _is_unfilled(it)]


def _left_out(copying: Insert) -> list[Column[Any]]:
    """The columns of a table about which an INSERT … SELECT into it says nothing."""
    named = {getattr(it, "key", it) for it in copying._select_names or ()}
    every = copying.table.columns
    return [it for it in every if isinstance(it, Column) and it.key not in named]


def unfilled_in(script: Any) -> list[str]:
    """The columns, as table.column, that a revision adds so which Alembic is about to write."""
    return [
        f"{change.table_name}.{change.column.name}"
        for of_a_table in script.upgrade_ops.ops
        if isinstance(of_a_table, ModifyTableOps)
        for change in of_a_table.ops
        if isinstance(change, AddColumnOp) and _is_unfilled(change.column)
    ]


def _is_unfilled(column: Column[Any]) -> bool:
    if column.nullable or column.server_default is not None:
        return False
    return column.table.autoincrement_column is not column
