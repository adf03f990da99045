"""The ground of a module's tables."""

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateTable
from sqlmodel import Field, SQLModel

from core.db.tables import BigId, table_registry

POSTGRESQL: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # as it is shipped
SQLITE: Dialect = sqlite.dialect()


class FirstBase(SQLModel, registry=table_registry("first")):
    """One module's."""


class SecondBase(SQLModel, registry=table_registry("second")):
    """Another module's."""


def first_tag() -> type[SQLModel]:
    class Tag(FirstBase, table=True):
        __tablename__ = "first_tags"
        id: int | None = BigId()
        name: str = Field(unique=True, index=True)

    return Tag


def second_tag() -> type[SQLModel]:
    class Tag(SecondBase, table=True):
        __tablename__ = "second_tags"
        id: int | None = BigId()
        first: int = Field(foreign_key="second_tags.id")

    return Tag


TAGS = first_tag(), second_tag()


def test_two_modules_may_have_a_class_of_one_name() -> None:
    """Classes of one name live side by side, each in its own metadata."""
    assert [tag.__name__ for tag in TAGS] == ["Tag", "Tag"]
    assert set(FirstBase.metadata.tables) == {"first_tags"}
    assert set(SecondBase.metadata.tables) == {"second_tags"}


def test_ids_have_64_bits_and_are_given_by_the_database() -> None:
    """BIGSERIAL on PostgreSQL; on SQLite INTEGER (64 bits) that never gives an id twice."""
    table = FirstBase.metadata.tables["first_tags"]
    assert "id BIGSERIAL" in str(CreateTable(table).compile(dialect=POSTGRESQL))
    made = str(CreateTable(table).compile(dialect=SQLITE))
    assert "id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT" in made


def test_every_constraint_has_a_name() -> None:
    """Keys, unique constraints, foreign keys and indexes are named after table and column."""
    first = FirstBase.metadata.tables["first_tags"]
    second = SecondBase.metadata.tables["second_tags"]
    names = {str(c.name) for table in (first, second) for c in table.constraints}
    assert {"pk_second_tags", "fk_second_tags_first"} <= names
    assert {str(index.name) for index in first.indexes} == {"ix_first_tags_name"}
