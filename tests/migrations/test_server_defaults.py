"""Server defaults: compared with what the database has, and written into revisions."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from core.db import migrations
from core.db.engine import Database
from core.db.migrations import ModuleMigrations
from core.db.tables import BigId, table_registry
from core.errors import ModuleFailure
from tests.support.migrating import Nursery, make_table, tables_of
from tests.support.notes import database_at


def things_table(kind: Any, default: Any) -> type[SQLModel]:
    """The model of a table with a column of this type that the database fills."""

    class Base(SQLModel, registry=table_registry("one")):
        """The ground of the module's tables."""

    class Thing(Base, table=True):
        __tablename__ = "one_things"
        id: int | None = BigId()
        filled: Any = Field(sa_type=kind, sa_column_kwargs={"server_default": default})

    return Thing


def numbered_table(by: sa.Computed | sa.Identity) -> type[SQLModel]:
    """The model of a table with a column whose numbers are the database's own."""

    class Base(SQLModel, registry=table_registry("one")):
        """The ground of the module's tables."""

    class Thing(Base, table=True):
        __tablename__ = "one_things"
        id: int | None = BigId()
        number: Any = Field(sa_column=sa.Column("number", sa.BigInteger(), by))

    return Thing


async def made(database: Database, nursery: Nursery, table: type[SQLModel]) -> ModuleMigrations:
    """A module whose table has been made by the revision that was written for it."""
    planted = nursery.module("one", tables=[table])
    await migrations.revision(database, planted, "Make things", autogenerate=True)
    [result] = await migrations.upgrade(database, [planted])
    assert result.failure is None
    return planted


@pytest.mark.parametrize("default", ["[]", '{"a":1}', sa.text("'[]'"), sa.text("('[]')")], ids=str)
async def test_defaults_of_json_agree(database: Database, nursery: Nursery, default: Any) -> None:
    """A JSON column with a server default is compared, and found as its migration made it."""
    module = await made(database, nursery, things_table(sa.JSON(), default))
    assert await migrations.check(database, [module]) == {}
    path = await migrations.revision(database, module, "Nothing", autogenerate=True)
    assert "alter_column" not in path.read_text()


@pytest.mark.parametrize("default", ["{}", sa.text("'{}'")], ids=["words", "text"])
async def test_another_default_of_json_is_found(
    database: Database, nursery: Nursery, default: Any
) -> None:
    """A JSON default that the model has changed since its migration is a difference."""
    module = await made(database, nursery, things_table(sa.JSON(), sa.text("'[]'")))
    changed = ModuleMigrations("one", module.location, [things_table(sa.JSON(), default)])
    [line] = (await migrations.check(database, [changed]))["one"]
    assert line.startswith("column one_things.filled: default ")


async def test_what_the_database_computes_agrees(database: Database, nursery: Nursery) -> None:
    """A table with a computed column is compared, and found as its migration made it."""
    computed = sa.Computed("id + 1", persisted=True)
    module = await made(database, nursery, numbered_table(computed))
    assert await migrations.check(database, [module]) == {}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.postgres
async def test_an_identity_agrees(database: Database, nursery: Nursery) -> None:
    """A column that PostgreSQL numbers is compared, and found as its migration made it."""
    module = await made(database, nursery, numbered_table(sa.Identity()))
    assert await migrations.check(database, [module]) == {}


@pytest.mark.parametrize("default", [sa.true(), sa.false()], ids=str)
@pytest.mark.parametrize("added", [False, True], ids=["with its table", "later"])
async def test_a_truth_is_written_for_every_database(
    database: Database, nursery: Nursery, tmp_path: Path, default: Any, added: bool
) -> None:
    """A revision that was written on SQLite makes a true or false default on PostgreSQL too, and
    both databases agree with the models afterwards."""
    table = things_table(sa.Boolean(), default)
    kind = 'sa.BigInteger().with_variant(sa.Integer(), "sqlite")'
    step = (f'op.create_table("one_things", sa.Column("id", {kind}, primary_key=True))', "pass")
    module = nursery.module("one", *[step] * added, tables=[table])
    author = database_at(f"sqlite+aiosqlite:///{tmp_path / 'author.db'}")
    await migrations.upgrade(author, [module])
    path = await migrations.revision(author, module, "Make it", autogenerate=True)
    await author.close()
    assert f"server_default=sa.{default}()" in path.read_text()
    [result] = await migrations.upgrade(database, [module])
    assert result.failure is None
    assert await migrations.check(database, [module]) == {}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.postgres
@pytest.mark.parametrize("default", ["nowhere()", "'a word'"], ids=["unknown", "no number"])
async def test_a_comparison_that_fails_is_its_own_modules(
    database: Database, nursery: Nursery, default: str
) -> None:
    """What PostgreSQL says against a model's default is one line of that module's; the modules
    after it are compared all the same, and `revision` says the line too."""
    bad = await made(database, nursery, things_table(sa.Integer(), sa.text("1")))
    bad = ModuleMigrations("one", bad.location, [things_table(sa.Integer(), sa.text(default))])
    two = nursery.module("two", make_table("two_things"))
    await migrations.upgrade(database, [two])
    found = await migrations.check(database, [bad, two])
    assert list(found) == ["one", "two"]
    assert found["two"] == ["the database has table two_things, the models have not"]
    [line] = found["one"]
    assert line.startswith("its models cannot be compared with the database: ")
    assert "\n" not in line
    with pytest.raises(ModuleFailure, match="its models cannot be compared"):
        await migrations.revision(database, bad, "Change it", autogenerate=True)
    assert "two_things" in await tables_of(database)
