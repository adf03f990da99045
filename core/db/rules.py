"""Rules that Alembic does not compare: check constraints, partial indexes, those on expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CheckConstraint, Column, Connection, MetaData, Table, inspect, text
from sqlalchemy.schema import CreateIndex, Index

_MADE = text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :table")


@dataclass(frozen=True)
class _Both:
    """A table as the models have it, and what the database says of it."""

    connection: Connection
    table: Table
    checks: Sequence[Any]
    indexes: Sequence[Any]

    @property
    def wanted(self) -> list[Index]:
        """The indexes of the models, by name."""
        return sorted(self.table.indexes, key=lambda it: str(it.name))

    def where(self, index: Index) -> Any:
        """Of which rows an index is; None for all."""
        return index.dialect_options[self.connection.dialect.name].get("where")


def rule_differences(connection: Connection, metadata: MetaData) -> list[str]:
    """One line for each rule that is not as the models say, for the tables that are there.

    What a rule says is compared on SQLite only, which keeps what it was told: PostgreSQL writes an
    expression anew, in its own words.
    """
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    tables = [
        _Both(
            connection,
            table,
            inspector.get_check_constraints(table.name),
            inspector.get_indexes(table.name),
        )
        for table in metadata.sorted_tables
        if table.name in there
    ]
    told = [_checks, _partial]
    if connection.dialect.name == "sqlite":
        told += [_texts, _expressions]
    return [line for tell in told for both in tables for line in tell(both)]


def _checks(both: _Both) -> Iterator[str]:
    """Named check constraints that one side has: a rule of the models alone holds nobody."""
    has = {it["name"] for it in both.checks}
    wanted = sorted(name for name, _ in _constraints(both))
    for name in wanted:
        if name not in has:
            yield (
                f"the models have check constraint {both.table.name}.{name}, the database has not "
                "(a revision names it by hand: op.create_check_constraint)"
            )
    for name in sorted({it for it in has if it} - {*wanted}):
        yield f"the database has check constraint {both.table.name}.{name}, the models have not"


def _partial(both: _Both) -> Iterator[str]:
    """Indexes that are partial on one side: a rule for all rows is another than one for some."""
    option = f"{both.connection.dialect.name}_where"
    has = {it["name"]: option in it.get("dialect_options", {}) for it in both.indexes}
    kinds = ("of all rows", "of some rows (where)")
    for index in both.wanted:
        wants = both.where(index) is not None
        if has.get(str(index.name), wants) != wants:
            yield (
                f"index {both.table.name}.{index.name}: {kinds[wants]} in the models, "
                f"{kinds[not wants]} in the database"
            )


def _texts(both: _Both) -> Iterator[str]:
    """Check constraints, and rows of partial indexes, that say something else."""
    has: dict[Any, Any] = {it["name"]: it["sqltext"] for it in both.checks}
    for it in both.indexes:
        has[it["name"]] = it.get("dialect_options", {}).get("sqlite_where")
    wanted = [*_constraints(both), *((str(it.name), both.where(it)) for it in both.wanted)]
    for name, expression in wanted:
        if expression is not None and has.get(name) is not None:
            said = _said(both.connection, expression)
            if _plain(str(has[name])) != _plain(said):
                yield (
                    f"{both.table.name}.{name}: ({said}) in the models, ({has[name]}) in the "
                    "database (a revision drops it and makes it anew, by hand)"
                )


def _expressions(both: _Both) -> Iterator[str]:
    """Indexes on an expression (``lower(email)``), which SQLAlchemy cannot read on SQLite."""
    name, read = both.table.name, {it["name"] for it in both.indexes}
    made = both.connection.execute(_MADE, {"table": name})
    has = {name: sql for name, sql in made if sql}
    for index in both.wanted:
        if _is_of_expressions(index):
            yield from _index_lines(both, index, has.get(str(index.name)))
    for other in sorted(has.keys() - read - {str(it.name) for it in both.wanted}):
        yield f"the database has index {name}.{other}, the models have not"


def _is_of_expressions(index: Index) -> bool:
    """Whether it has other than columns, and is not for another kind of database alone."""
    elsewhere = any(re.fullmatch("postgresql_(using|ops|with)", it) for it in index.dialect_kwargs)
    if elsewhere or index._ddl_if is not None:  # no public name says so
        return False
    return not all(isinstance(it, Column) for it in index.expressions)


def _index_lines(both: _Both, index: Index, made: str | None) -> Iterator[str]:
    place = f"{both.table.name}.{index.name}"
    wanted = str(CreateIndex(index).compile(dialect=both.connection.dialect))
    if made is None:
        yield (
            f"the models have index {place}, the database has not "
            "(a revision makes it by hand: op.create_index)"
        )
    elif _plain(made).lower() != _plain(wanted).lower():
        yield (
            f"index {place}: ({wanted}) in the models, ({made}) in the database "
            "(a revision drops it and makes it anew, by hand)"
        )


def _constraints(both: _Both) -> Iterator[tuple[str, Any]]:
    """The named check constraints of the models: the name in the database, and the expression."""
    preparer = both.connection.dialect.identifier_preparer
    for constraint in both.table.constraints:
        if isinstance(constraint, CheckConstraint) and isinstance(constraint.name, str):
            name = preparer.format_constraint(constraint)
            if name:
                yield name.strip('"'), constraint.sqltext


def _said(connection: Connection, expression: Any) -> str:
    """An expression as it is written where a table is made."""
    dialect = connection.dialect
    compiler = dialect.ddl_compiler(dialect, None).sql_compiler  # type: ignore[arg-type] # as DDL
    return compiler.process(expression, include_table=False, literal_binds=True)


def _plain(words: str) -> str:
    """An expression without what changes nothing: blanks, quotes of names, brackets around all."""
    words = re.sub(r"\s+|[\"`\[\]]", "", words)
    return words[1:-1] if re.fullmatch(r"\([^()]*\)", words) else words
