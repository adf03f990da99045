"""Differences between models and database, in words."""

import pytest
from sqlalchemy import Column, Index, Integer, MetaData, String, Table

from core.db.differences import describe

TABLE = Table("one_things", MetaData(), Column("name", String(5)))


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (("add_table", TABLE), "the models have table one_things"),
        (
            ("remove_column", None, "one_things", TABLE.c.name),
            "the database has column one_things.name",
        ),
        (("add_index", Index("ix_name", TABLE.c.name)), "the models have index one_things.ix_name"),
        (
            [("modify_type", None, "one_things", "name", {}, String(5), Integer())],
            "column one_things.name: INTEGER in the models, VARCHAR(5) in the database",
        ),
        (("something_new", 7), "something_new: [7]"),
    ],
)
def test_says_where_and_what(difference: object, words: str) -> None:
    """Each kind of difference is one line that names the table and the column."""
    [line] = describe([difference])
    assert words in line
