"""Alembic's differences between models and database, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal

from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import (
    JSON,
    DefaultClause,
    False_,
    Text,
    True_,
    cast,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

WORDS = {
    "add_table": "the models have table {0}, the database has not",
    "remove_table": "the database has table {0}, the models have not",
    "add_column": "the models have column {0}, the database has not",
    "remove_column": "the database has column {0}, the models have not",
    "add_index": "the models have index {0}, the database has not",
    "remove_index": "the database has index {0}, the models have not",
    "add_constraint": "the models have constraint {0}, the database has not",
    "remove_constraint": "the database has constraint {0}, the models have not",
    "add_fk": "the models have foreign key {0}, the database has not",
    "remove_fk": "the database has foreign key {0}, the models have not",
    "modify_nullable": "column {0}: nullable={2} in the models, {1} in the database",
    "modify_type": "column {0}: {2} in the models, {1} in the database",
    "modify_default": "column {0}: default {2} in the models, {1} in the database",
    "modify_comment": "column {0}: comment {2} in the models, {1} in the database",
}


def _compare_defaults(
    context: Any, change: Any, _schema: Any, _table: Any, _name: Any, there: Any, ours: Any
) -> PriorityDispatchResult:
    """For Alembic: a default that only the database has harms nobody.

    A revision that adds a column to a table with rows needs one. What is computed or an identity is
    left to Alembic, which cannot do so where it is given a function to compare defaults.
    """
    told, wanted = there.server_default, ours.server_default
    if wanted is None and isinstance(told, DefaultClause):
        change.existing_server_default = told
        return PriorityDispatchResult.STOP
    plain_json = isinstance(there.type, JSON) and not isinstance(there.type, JSONB)
    both = isinstance(told, DefaultClause) and isinstance(wanted, DefaultClause)
    if context.dialect.name != "postgresql" or not plain_json or not both:
        return PriorityDispatchResult.CONTINUE
    change.existing_server_default = told
    # Alembic would ask PostgreSQL whether they are equal, which type json cannot say: its text can.
    arg = literal(wanted.arg) if isinstance(wanted.arg, str) else wanted.arg
    in_database = cast(literal_column(told.arg.text), Text)
    if context.connection.scalar(select(in_database.is_distinct_from(cast(arg, Text)))):
        change.modify_server_default = wanted
    return PriorityDispatchResult.STOP


@cache
def comparison() -> Mapping[str, Any]:
    """How Alembic is to compare, for its `configure`; it knows our rule from the first call on."""
    plugin = Plugin("tessera.defaults")
    plugin.add_autogenerate_comparator(
        _compare_defaults, "column", "server_default", priority=DispatchPriority.FIRST
    )
    return {
        "compare_server_default": True,
        "autogenerate_plugins": ["alembic.autogenerate.*", plugin.name],
    }


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """For Alembic: a truth in a revision, as any database writes it. False: Alembic is to write.

    It would write what this database says, which on SQLite is a number; PostgreSQL refuses that.
    """
    if kind == "server_default" and isinstance(item, DefaultClause):
        if isinstance(item.arg, True_):
            return "sa.true()"
        if isinstance(item.arg, False_):
            return "sa.false()"
    return False


def describe(differences: Iterable[Any]) -> list[str]:
    """One line a difference; the changes of one column come from Alembic as a list."""
    lines: list[str] = []
    for difference in differences:
        lines += describe(difference) if isinstance(difference, list) else [_line(difference)]
    return lines


def _line(difference: tuple[Any, ...]) -> str:
    kind, *rest = difference
    template = WORDS.get(kind)
    if template is None:
        return f"{kind}: {rest}"
    if kind.startswith("modify_"):
        _, table, column, _, old, new = rest
        return template.format(f"{table}.{column}", old, new)
    if kind.endswith("_column"):
        _, table, column = rest
        return template.format(f"{table}.{column.name}")
    return template.format(_name(rest[0]))


def _name(item: Any) -> str:
    table = getattr(item, "table", None)
    return f"{table.name}.{item.name}" if table is not None else str(item.name)
