"""Alembic's differences between models and database, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import CheckConstraint, Column, Connection, MetaData, Table, inspect, text
from sqlalchemy.schema import CreateIndex, Index

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


def defaults_differ(
    _context: Any, _inspected: Any, _column: Any, _there: Any, wanted: Any, _rendered: Any
) -> bool | None:
    """For Alembic: a default that only the database has harms nobody.

    A revision that adds a column to a table with rows needs one. None: Alembic is to compare.
    """
    return False if wanted is None else None


def describe(differences: Iterable[Any]) -> list[str]:
    """One line a difference; the changes of one column come from Alembic as a list."""
    lines: list[str] = []
    for difference in differences:
        lines += describe(difference) if isinstance(difference, list) else [_line(difference)]
    return lines


def missing_checks(connection: Connection, metadata: MetaData) -> list[str]:
    """One line for each named check constraint that only the models or only the database has.

    Alembic neither compares nor writes them; a rule that only the models have holds nobody.
    """
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    lines: list[str] = []
    for table in metadata.sorted_tables:
        if table.name in there:
            has = {it["name"] for it in inspector.get_check_constraints(table.name)}
            wanted = _checks_of(connection, table)
            lines += [
                f"the models have check constraint {table.name}.{name}, the database has not "
                "(a revision names it by hand: op.create_check_constraint)"
                for name in wanted
                if name not in has
            ]
            lines += [
                f"the database has check constraint {table.name}.{name}, the models have not"
                for name in sorted({it for it in has if it} - {*wanted})
            ]
    return lines


def partial_differences(connection: Connection, metadata: MetaData) -> list[str]:
    """One line for each index that is partial in the models and not in the database, or reversed.

    Alembic compares columns only; a rule for all rows is another one than a rule for some.
    """
    inspector = inspect(connection)
    option = f"{connection.dialect.name}_where"
    there = set(inspector.get_table_names())
    lines: list[str] = []
    for table in metadata.sorted_tables:
        found = inspector.get_indexes(table.name) if table.name in there else []
        has = {it["name"]: option in it.get("dialect_options", {}) for it in found}
        for index in sorted(table.indexes, key=lambda it: str(it.name)):
            wants = index.dialect_options[connection.dialect.name].get("where") is not None
            if has.get(str(index.name), wants) != wants:
                kinds = ("of all rows", "of some rows (where)")
                lines.append(
                    f"index {table.name}.{index.name}: {kinds[wants]} in the models, "
                    f"{kinds[not wants]} in the database"
                )
    return lines


def text_differences(connection: Connection, metadata: MetaData) -> list[str]:
    """One line for each rule that says one thing in the models, and another in the database.

    Check constraints and the rows of partial indexes. On SQLite only, which keeps what it was told;
    PostgreSQL writes an expression anew, in its own words.
    """
    if connection.dialect.name != "sqlite":
        return []
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    lines: list[str] = []
    for table in metadata.sorted_tables:
        if table.name in there:
            has = {
                **{it["name"]: it["sqltext"] for it in inspector.get_check_constraints(table.name)},
                **{
                    it["name"]: it.get("dialect_options", {}).get("sqlite_where")
                    for it in inspector.get_indexes(table.name)
                },
            }
            lines += [
                f"{table.name}.{name}: ({wanted}) in the models, ({has[name]}) in the database "
                "(a revision drops it and makes it anew, by hand)"
                for name, wanted in _texts_of(connection, table)
                if has.get(name) is not None and _plain(str(has[name])) != _plain(wanted)
            ]
    return lines


def expression_differences(connection: Connection, metadata: MetaData) -> list[str]:
    """One line for each index on an expression (``lower(email)``) that is not as the models say.

    On SQLite only, where SQLAlchemy cannot read them and Alembic passes them over.
    """
    if connection.dialect.name != "sqlite":
        return []
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    lines: list[str] = []
    for table in metadata.sorted_tables:
        if table.name in there:
            read = {it["name"] for it in inspector.get_indexes(table.name)}
            has = _made_indexes(connection, table.name)
            lines += [
                line
                for index in sorted(table.indexes, key=lambda it: str(it.name))
                if _is_of_expressions(index)
                for line in _index_lines(connection, index, has)
            ]
            lines += [
                f"the database has index {table.name}.{name}, the models have not"
                for name in sorted(has.keys() - read - {str(it.name) for it in table.indexes})
            ]
    return lines


def _made_indexes(connection: Connection, table: str) -> dict[str, str]:
    """The indexes of a table that somebody made, and the words in which SQLite was told."""
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :table")
    return {name: sql for name, sql in connection.execute(query, {"table": table}) if sql}


def _is_of_expressions(index: Index) -> bool:
    """Whether it has other than columns, and is not for another kind of database alone."""
    elsewhere = any(re.fullmatch("postgresql_(using|ops|with)", it) for it in index.dialect_kwargs)
    if elsewhere or index._ddl_if is not None:  # no public name says so
        return False
    return not all(isinstance(it, Column) for it in index.expressions)


def _index_lines(connection: Connection, index: Index, has: dict[str, str]) -> Iterator[str]:
    assert index.table is not None
    place = f"{index.table.name}.{index.name}"
    wanted = str(CreateIndex(index).compile(dialect=connection.dialect))
    made = has.get(str(index.name))
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


def _texts_of(connection: Connection, table: Table) -> Iterator[tuple[str, str]]:
    """The names and expressions of a table's check constraints and partial indexes."""
    dialect = connection.dialect
    compiler = dialect.ddl_compiler(dialect, None).sql_compiler  # type: ignore[arg-type] # as DDL
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint) and isinstance(constraint.name, str):
            name = dialect.identifier_preparer.format_constraint(constraint)
            text = compiler.process(constraint.sqltext, include_table=False, literal_binds=True)
            yield (name or "").strip('"'), text
    for index in table.indexes:
        where = index.dialect_options[dialect.name].get("where")
        if where is not None:
            yield str(index.name), compiler.process(where, include_table=False, literal_binds=True)


def _plain(text: str) -> str:
    """An expression without what changes nothing: blanks, quotes of names, brackets around all."""
    text = re.sub(r"\s+|[\"`\[\]]", "", text)
    return text[1:-1] if re.fullmatch(r"\([^()]*\)", text) else text


def _checks_of(connection: Connection, table: Table) -> list[str]:
    preparer = connection.dialect.identifier_preparer
    named = [
        preparer.format_constraint(constraint)
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint) and isinstance(constraint.name, str)
    ]
    return sorted(name.strip('"') for name in named if name)


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
