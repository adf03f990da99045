"""Migrations of modules: apart from each other, whole or not at all, and back again."""

import shutil
import sys
from importlib.machinery import ModuleSpec

import pytest
from sqlalchemy import text
from sqlmodel import Field, SQLModel

from core.db import migrations
from core.db.engine import Database
from core.db.migrations import ModuleMigrations
from core.db.tables import BigId, table_registry
from core.errors import ModuleFailure, Unavailable
from tests.support.migrating import Nursery, make_table, tables_of
from tests.support.notes import database_at

ONE = make_table("one_things")
TWO = make_table("two_things")
BROKEN = (
    'op.create_table("one_half", sa.Column("id", sa.Integer()))\nraise ValueError("bad")',
    "pass",
)


async def test_up_down_and_up_again(database: Database, nursery: Nursery) -> None:
    """A module's tables come, go with their downgrade, and come again."""
    module = nursery.module("one", ONE, make_table("one_others"))
    for _ in range(2):
        [up] = await migrations.upgrade(database, [module])
        assert (up.before, up.after, up.failure) == (None, "0002", None)
        assert {"one_things", "one_others"} <= await tables_of(database)
        [down] = await migrations.downgrade(database, [module], target="base")
        assert (down.before, down.after, down.failure) == ("0002", None, None)
        assert await tables_of(database) == {"one_alembic_version"}


async def test_one_step_back(database: Database, nursery: Nursery) -> None:
    """A downgrade takes back one revision unless it is told otherwise."""
    module = nursery.module("one", ONE, make_table("one_others"))
    await migrations.upgrade(database, [module])
    [down] = await migrations.downgrade(database, [module])
    assert down.after == "0001"
    assert "one_others" not in await tables_of(database)


async def test_a_version_table_a_module(database: Database, nursery: Nursery) -> None:
    """Two modules may have revisions of one name, and one goes back without the other."""
    one, two = nursery.module("one", ONE), nursery.module("two", TWO)
    await migrations.upgrade(database, [one, two])
    await migrations.downgrade(database, [one], target="base")
    states = {s.module: s.current for s in await migrations.status(database, [one, two])}
    assert states == {"one": None, "two": "0001"}
    assert "two_things" in await tables_of(database)


async def test_downgrade_begins_at_the_end(database: Database, nursery: Nursery) -> None:
    """Modules go back in the reverse of the order in which they came."""
    modules = [nursery.module("one", ONE), nursery.module("two", TWO)]
    assert [r.module for r in await migrations.upgrade(database, modules)] == ["one", "two"]
    assert [r.module for r in await migrations.downgrade(database, modules)] == ["two", "one"]


async def test_uninstalled_module_is_no_obstacle(database: Database, nursery: Nursery) -> None:
    """The tables of a module that is gone stay, and the others go on being migrated and checked."""
    one, two = nursery.module("one", ONE), nursery.module("two", TWO)
    await migrations.upgrade(database, [one, two])
    nursery.revision("one", 2, make_table("one_others"))
    [result] = await migrations.upgrade(database, [one])
    assert result.after == "0002"
    assert {"one_others", "two_things"} <= await tables_of(database)
    differences = await migrations.check(database, [one])
    assert "two_" not in str(differences)


async def test_failing_migration_is_its_own_modules(database: Database, nursery: Nursery) -> None:
    """A revision that raises is undone to the last statement and reported; the others are done."""
    bad, good = nursery.module("one", ONE, BROKEN), nursery.module("two", TWO)
    failed, done = await migrations.upgrade(database, [bad, good])
    assert (failed.before, failed.after) == (None, None)
    assert "ValueError: bad" in str(failed.failure)
    assert (done.after, done.failure) == ("0001", None)
    assert not {"one_things", "one_half"} & await tables_of(database)


async def test_autocommit_is_refused_in_words(database: Database, nursery: Nursery) -> None:
    """Alembic's `autocommit_block()` would leave the one transaction: it is refused with a remedy,
    and what the module's migrations did before it is undone."""
    leaves = "with op.get_context().autocommit_block():\n    op.execute('SELECT 1')"
    module = nursery.module("one", ONE, (leaves, "pass"))
    [result] = await migrations.upgrade(database, [module])
    assert result.failure is not None
    assert result.failure.reason.startswith(
        "its migration failed: it asks for autocommit_block(), which is not to be had: a module's "
        "migrations run in one transaction"
    )
    assert result.failure.reason.endswith("/planted_one/migrations/0002_step.py:13")
    assert "take the block away" in result.failure.remedy
    assert await tables_of(database) == set()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("op.execute('SELECT id FROM one_none')", "one_none"),
        ("sa.Table('one_none', sa.MetaData(), autoload_with=op.get_bind())", "one_none at "),
        ("assert False", "AssertionError: no message at "),
    ],
    ids=["a statement", "a library", "without words"],
)
async def test_a_failing_migration_is_told_with_its_place(
    database: Database, nursery: Nursery, source: str, told: str
) -> None:
    """The reason ends with the line of the revision itself, not with the library's that raised."""
    [result] = await migrations.upgrade(database, [nursery.module("one", ONE, (source, "pass"))])
    assert result.failure is not None
    assert told in result.failure.reason
    assert result.failure.reason.endswith("/planted_one/migrations/0002_step.py:13")


async def test_a_failing_migration_is_told_with_the_place_in_a_helper(
    database: Database, nursery: Nursery
) -> None:
    """A revision that calls the module's own code is told of with the line that raised there."""
    helps = "from planted_one.helper import fill\nfill(op)"
    module = nursery.module("one", (helps, "pass"))
    source = "def fill(op):\n    op.execute('SELECT id FROM one_none')\n"
    nursery.garden.file("planted_one", "helper.py", source)
    [result] = await migrations.upgrade(database, [module])
    assert str(result.failure).partition(" (nothing of it")[0].endswith("/planted_one/helper.py:2")


async def test_mended_migration_runs(database: Database, nursery: Nursery) -> None:
    """From a half-migrated database the next upgrade goes on where the last good one ended."""
    module = nursery.module("one", ONE)
    await migrations.upgrade(database, [module])
    nursery.revision("one", 2, BROKEN)
    [failed] = await migrations.upgrade(database, [module])
    assert failed.after == "0001"
    nursery.revision("one", 2, make_table("one_others"))
    [status] = await migrations.status(database, [module])
    assert status.pending == ("0002",)
    [mended] = await migrations.upgrade(database, [module])
    assert (mended.before, mended.after, mended.failure) == ("0001", "0002", None)


@pytest.mark.parametrize(
    "source",
    ["this is no Python", "raise SystemExit(3)", "import not_there"],
    ids=["syntax", "exit", "import"],
)
async def test_unreadable_revision(database: Database, nursery: Nursery, source: str) -> None:
    """A file that cannot be imported, for whatever reason, is its module's failure, and named."""
    bad, good = nursery.module("one", ONE), nursery.module("two", TWO)
    nursery.garden.file("planted_one", "migrations/0002_bad.py", source)
    failed, done = await migrations.upgrade(database, [bad, good])
    assert isinstance(failed.failure, ModuleFailure)
    assert "0002_bad.py" in failed.failure.reason
    assert done.failure is None


async def test_database_of_a_newer_version(database: Database, nursery: Nursery) -> None:
    """A revision that this version does not have is named, and nothing is done."""
    newer = nursery.module("one", ONE, make_table("one_others"))
    await migrations.upgrade(database, [newer])
    (nursery.garden.folder / "planted_one" / "migrations" / "0002_step.py").unlink()
    [status] = await migrations.status(database, [newer])
    assert "'0002'" in str(status.failure)
    [result] = await migrations.upgrade(database, [newer])
    assert "'0002'" in str(result.failure)


async def test_two_last_revisions(database: Database, nursery: Nursery) -> None:
    """Two revisions that both claim to be the last are a failure that names them."""
    module = nursery.module("one", ONE)
    nursery.revision("one", 2, make_table("one_others"))
    source = (nursery.garden.folder / "planted_one" / "migrations" / "0002_step.py").read_text()
    nursery.garden.file(
        "planted_one", "migrations/0003_fork.py", source.replace('"0002"', '"0003"')
    )
    [result] = await migrations.upgrade(database, [module])
    assert "0002, 0003" in str(result.failure)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("planted_one", "name no folder"),
        ("planted_one:nowhere", "no such folder"),
        ("not_there_at_all:migrations", "not_there_at_all"),
    ],
)
async def test_wrong_location(
    database: Database, nursery: Nursery, location: str, reason: str
) -> None:
    """A location that leads nowhere is the module's failure, with what to write instead."""
    nursery.module("one", ONE)
    [result] = await migrations.upgrade(database, [ModuleMigrations("one", location)])
    assert reason in str(result.failure)
    assert "package:folder" in str(result.failure)


async def test_namespace_package_is_told_to_be_a_package(
    database: Database, nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package without __init__.py, installed as editable, is told what it lacks."""
    marker = "__editable__.one.finder.__path_hook__"  # what setuptools puts on sys.path

    class Finder:
        def __init__(self, path: str) -> None:
            if path != marker:
                raise ImportError(path)

        def find_spec(self, name: str, target: object = None) -> ModuleSpec:
            found = ModuleSpec(name, None, is_package=True)
            found.submodule_search_locations = [marker]
            return found

    monkeypatch.setattr(sys, "path_hooks", [*sys.path_hooks, Finder])
    monkeypatch.syspath_prepend(marker)
    [result] = await migrations.upgrade(database, [ModuleMigrations("one", "bare_one:migrations")])
    assert "bare_one is no package with an __init__.py" in str(result.failure)
    assert "add an __init__.py" in str(result.failure)


async def test_zipped_package_is_refused(
    database: Database, nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package inside an archive is refused with the reason, since Alembic reads files."""
    nursery.module("zipped", ONE)
    folder = nursery.garden.folder
    archive = shutil.make_archive(str(folder.parent / "archive"), "zip", folder)
    shutil.rmtree(folder / "planted_zipped")
    monkeypatch.setattr(sys, "path", [archive, *sys.path])
    [result] = await migrations.upgrade(
        database, [ModuleMigrations("zipped", "planted_zipped:migrations")]
    )
    assert "archive" in str(result.failure)


async def test_batch_keeps_rows_that_point_here(database: Database, nursery: Nursery) -> None:
    """Changing a column, for which SQLite makes the table anew, keeps the rows that refer to it."""
    parent, drop_parent = make_table("one_things")
    child = (
        'op.create_table("one_parts", sa.Column("thing", sa.Integer(), '
        'sa.ForeignKey("one_things.id", ondelete="CASCADE")))'
    )
    fill = "op.execute(\"INSERT INTO one_things VALUES (1, 'x')\")\n"
    fill += 'op.execute("INSERT INTO one_parts VALUES (1)")'
    change = (
        'with op.batch_alter_table("one_things") as batch:\n'
        '    batch.alter_column("name", type_=sa.String(80), existing_type=sa.String(50))'
    )
    drop = f'op.drop_table("one_parts")\n{drop_parent}'
    module = nursery.module("one", (f"{parent}\n{child}\n{fill}", drop), (change, "pass"))
    [result] = await migrations.upgrade(database, [module])
    assert result.failure is None
    async with database.reader.connect() as connection:
        assert (await connection.scalar(text("SELECT count(*) FROM one_parts"))) == 1


async def test_orphans_are_refused(database: Database, nursery: Nursery) -> None:
    """A migration that leaves rows that point to nothing is undone, on SQLite too."""
    parent, _ = make_table("one_things")
    child = (
        'op.create_table("one_parts", sa.Column("thing", sa.Integer(), '
        'sa.ForeignKey("one_things.id")))'
    )
    fill = "op.execute(\"INSERT INTO one_things VALUES (1, 'x')\")\n"
    fill += 'op.execute("INSERT INTO one_parts VALUES (1)")'
    orphan = ('op.execute("DELETE FROM one_things")', "pass")
    module = nursery.module("one", (f"{parent}\n{child}\n{fill}", "pass"), orphan)
    [result] = await migrations.upgrade(database, [module])
    assert result.failure is not None
    assert "one_parts" not in await tables_of(database)


def things_table(*, with_colour: bool) -> type[SQLModel]:
    """The model of a table, with or without a column that its migration does not make."""

    class Base(SQLModel, registry=table_registry("one")):
        """The ground of the module's tables."""

    if with_colour:

        class Painted(Base, table=True):
            __tablename__ = "one_things"
            id: int | None = Field(default=None, primary_key=True)
            name: str | None = Field(default=None, max_length=50)
            colour: str = ""

        return Painted

    class Thing(Base, table=True):
        __tablename__ = "one_things"
        id: int | None = Field(default=None, primary_key=True)
        name: str | None = Field(default=None, max_length=50)

    return Thing


async def test_check_agrees(database: Database, nursery: Nursery) -> None:
    """Where models and migrations say the same, nothing is found."""
    module = nursery.module("one", ONE, tables=[things_table(with_colour=False)])
    await migrations.upgrade(database, [module])
    assert await migrations.check(database, [module]) == {}


async def test_check_finds_a_planted_difference(database: Database, nursery: Nursery) -> None:
    """A column that only the model has, and a table that only the database has, are named."""
    module = nursery.module(
        "one", ONE, make_table("one_others"), tables=[things_table(with_colour=True)]
    )
    waiting = await migrations.check(database, [module])
    assert waiting == {"one": ["migrations wait: 0001, 0002"]}
    await migrations.upgrade(database, [module])
    found = await migrations.check(database, [module])
    assert sorted(found["one"]) == [
        "the database has table one_others, the models have not",
        "the models have column one_things.colour, the database has not",
    ]


async def test_revision_writes_what_is_missing(database: Database, nursery: Nursery) -> None:
    """An autogenerated revision brings the database to the models on the spot."""
    module = nursery.module("one", ONE, tables=[things_table(with_colour=True)])
    await migrations.upgrade(database, [module])
    path = await migrations.revision(database, module, "Give things a colour", autogenerate=True)
    assert path.name == "0002_give_things_a_colour.py"
    assert "sqlmodel" in path.read_text()
    source = path.read_text().replace("nullable=False", "nullable=False, server_default='red'")
    path.write_text(source)
    [result] = await migrations.upgrade(database, [module])
    assert (result.after, result.failure) == ("0002", None)
    assert await migrations.check(database, [module]) == {}


async def test_revision_from_nothing(database: Database, nursery: Nursery) -> None:
    """The first revision of a module makes its tables, with ids that are never given again."""

    class Base(SQLModel, registry=table_registry("one")):
        """The ground of the module's tables."""

    class Thing(Base, table=True):
        __tablename__ = "one_things"
        id: int | None = BigId()
        name: str = Field(max_length=50, unique=True)

    module = nursery.module("one", tables=[Thing])
    path = await migrations.revision(database, module, "Make things", autogenerate=True)
    assert "sqlite_autoincrement=True" in path.read_text()
    [result] = await migrations.upgrade(database, [module])
    assert (result.after, result.failure) == ("0001", None)
    assert await migrations.check(database, [module]) == {}


async def test_no_database_is_nobodys_failure(nursery: Nursery) -> None:
    """When the server cannot be reached, no module is blamed: it is raised."""
    database = database_at("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    with pytest.raises(Unavailable):
        await migrations.upgrade(database, [nursery.module("one", ONE)])
