"""Tables and their migrations: T4, and what other families need of them."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent

from tests.support.checks.plots import Case, Plot, module

TABLE = """
    class Thing(table_base("{0}"), table=True):
        __tablename__ = "bad_{1}"
        id: int | None = BigId()
"""


def table(name: str, *, base: str = "bad") -> str:
    """The source of a table class."""
    return dedent(TABLE.format(base, name))


def tables(*classes: str) -> str:
    """The hook."""
    return f"\n@hookimpl\ndef tables():\n    return [{', '.join(classes)}]\n"


MIGRATIONS = "\n@hookimpl\ndef migrations():\n    return 'planted_bad:migrations'\n"

REVISION = """
    import sqlalchemy as sa
    from alembic import op

    revision = "0001"
    down_revision = None
    branch_labels = None
    depends_on = None

    def upgrade():
        {0}

    def downgrade():
        op.drop_table("bad_things")
"""
LATER = """
    import sqlalchemy as sa
    from alembic import op

    revision = "0002"
    down_revision = "0001"
    branch_labels = None
    depends_on = None

    def upgrade():
        {0}

    def downgrade():
        op.drop_column("bad_things", "name")
"""
CLASS_VAR = "from typing import ClassVar\n"
MAKES_TABLE = (
    "op.create_table('bad_things', sa.Column('id', sa.BigInteger().with_variant(sa.Integer, "
    "'sqlite'), nullable=False), sa.PrimaryKeyConstraint('id', name='pk_bad_things'))"
)


def migrated(revision: str, *, models: str = "") -> Plot:
    """Module `bad` with a table `bad_things` and this revision."""
    source = module((models or table("things")) + tables("Thing") + MIGRATIONS)
    return Plot(source, files={"migrations/0001_things.py": REVISION.format(revision)})


def migrated_later(*steps: str, first: str = "") -> Plot:
    """The same, with a column `name` that the second revision adds unless the first does."""
    plot = migrated(first or MAKES_TABLE, models=table("things") + "    name: str\n")
    revision = LATER.format("\n        ".join(steps))
    return replace(plot, files={**plot.files, "migrations/0002_name.py": revision})


def added(more: str = "nullable=False", *, batch: bool = False) -> str:
    """A step that adds the column."""
    column = f"sa.Column('name', sa.String(), {more})"
    if batch:
        return (
            "with op.batch_alter_table('bad_things', recreate='always') as batch: "
            f"batch.add_column({column})"
        )
    return f"op.add_column('bad_things', {column})"


def renamed(step: str) -> tuple[str, ...]:
    """The same step while the table has another name."""
    there, back = ("'bad_things', 'bad_x'", "'bad_x', 'bad_things'")
    step = step.replace("bad_things", "bad_x")
    return (f"op.rename_table({there})", step, f"op.rename_table({back})")


FILLED = (
    added("nullable=True"),
    "op.execute(\"UPDATE bad_things SET name = ''\")",
    "with op.batch_alter_table('bad_things') as batch: "
    "batch.alter_column('name', nullable=False, existing_type=sa.String())",
)


def defaulted(default: str) -> str:
    """A table with a column that the database fills."""
    column = f"    name: str = Field(sa_column_kwargs={{'server_default': {default}}})\n"
    return "import sqlalchemy as sa\nfrom sqlmodel import Field\n" + table("things") + column


def with_column(default: str = "None") -> str:
    """A revision that makes it, with that default."""
    column = f"sa.Column('name', sa.String(), nullable=False, server_default={default}), "
    return MAKES_TABLE.replace("sa.Primary", f"{column}sa.Primary", 1)


POSITIVE = (
    "from sqlalchemy import CheckConstraint\n"
    + table("things")
    + "    __table_args__ = (CheckConstraint('id > 0', name='positive'),)\n"
)
PARTIAL = (
    "from sqlalchemy import Index, text\n"
    + table("things")
    + "    name: str\n    __table_args__ = (Index('ix_bad_things_name', 'name', unique=True, "
    "sqlite_where=text('id > 0'), postgresql_where=text('id > 0')),)\n"
)


def with_index(more: str = "") -> str:
    """A revision that makes it; `more` are arguments, such as for which rows."""
    made = f"op.create_index('ix_bad_things_name', 'bad_things', ['name'], unique=True{more})"
    return f"{with_column()}; {made}"


FOLDED = (
    "from sqlalchemy import Index, func, text\n"
    + table("things")
    + "    name: str\n    __table_args__ = (Index('ix_bad_things_folded', text('lower(name)'), "
    "unique=True),)\n"
)


def folded(expression: str = "lower(name)", *, unique: bool = True) -> str:
    """A revision that makes the table with an index on an expression."""
    made = f"[sa.text('{expression}')], unique={unique}"
    return f"{with_column()}; op.create_index('ix_bad_things_folded', 'bad_things', {made})"


def made_by_hand(*tables: str) -> str:
    """A revision that makes tables without what Alembic has for it."""
    hand = (f"op.execute('CREATE TABLE {name} (id INTEGER PRIMARY KEY)')" for name in tables)
    return "; ".join([MAKES_TABLE, *hand])


POSITIVE_IN_DATABASE = "sa.CheckConstraint('id > 0', name=op.f('ck_bad_things_positive'))"

MIGRATED = [
    Case(
        "T401",
        "a column without a migration",
        migrated(MAKES_TABLE, models=table("things") + "    name: str\n"),
        migrated(
            MAKES_TABLE, models=CLASS_VAR + table("things") + "    name: ClassVar[str] = ''\n"
        ),
        at="planted_bad:migrations",
    ),
    Case(
        "T401",
        "a table without any migration",
        Plot(module(table("things") + tables("Thing"))),
        Plot(module(table("things").replace(", table=True", ""))),
        at="bad_things",
    ),
    Case(
        "T401",
        "a table that the hook keeps quiet about",
        Plot(module(table("things"))),
        migrated(MAKES_TABLE),
        at="bad_things",
    ),
    Case(
        "T401",
        "a check constraint without a migration",
        migrated(MAKES_TABLE, models=POSITIVE),
        migrated(
            MAKES_TABLE.replace("sa.Primary", f"{POSITIVE_IN_DATABASE}, sa.Primary"),
            models=POSITIVE,
        ),
        at="planted_bad:migrations",
    ),
    Case(
        "T401",
        "a check constraint that only the migrations have",
        migrated(MAKES_TABLE.replace("sa.Primary", f"{POSITIVE_IN_DATABASE}, sa.Primary")),
        migrated(MAKES_TABLE),
        at="planted_bad:migrations",
    ),
    Case(
        "T401",
        "an index of all rows that the models want of some",
        migrated(with_index(), models=PARTIAL),
        migrated(
            with_index(", sqlite_where=sa.text('id > 0'), postgresql_where=sa.text('id > 0')"),
            models=PARTIAL,
        ),
        at="planted_bad:migrations",
    ),
    Case(
        "T401",
        "a check constraint that says something else in the migrations",
        migrated(
            MAKES_TABLE.replace("sa.Primary", f"{POSITIVE_IN_DATABASE}, sa.Primary", 1).replace(
                "id > 0", "id > 10"
            ),
            models=POSITIVE,
        ),
        migrated(
            MAKES_TABLE.replace("sa.Primary", f"{POSITIVE_IN_DATABASE}, sa.Primary", 1).replace(
                "id > 0", "(id>0)"
            ),
            models=POSITIVE,
        ),
        at="planted_bad:migrations",
    ),
    Case(
        "T401",
        "an index of other rows than the models want",
        migrated(with_index(", sqlite_where=sa.text('id > 1')"), models=PARTIAL),
        migrated(with_index(", sqlite_where=sa.column('id') > 0"), models=PARTIAL),
        at="planted_bad:migrations",
    ),
    *(
        Case(
            "T401",
            f"an index on an expression: {name}",
            migrated(revision, models=models),
            migrated(good, models=FOLDED),
            at="planted_bad:migrations",
        )
        for name, revision, models, good in (
            ("without a migration", with_column(), FOLDED, folded()),
            ("another expression", folded("upper(name)"), FOLDED, folded("LOWER( name )")),
            ("not unique", folded(unique=False), FOLDED, folded('lower("name")')),
            ("only there", folded(), table("things") + "    name: str\n", folded()),
        )
    ),
    Case(
        "T401",
        "an index that only another kind of database can have",
        migrated(with_column(), models=FOLDED.replace("lower(name)", "upper(name)")),
        migrated(
            with_column(),
            models=FOLDED.replace("unique=True", "postgresql_using='gin'"),
        ),
        at="planted_bad:migrations",
    ),
    Case(
        "T401",
        "a table that is named as another module's",
        migrated(made_by_hand("good_things")),
        migrated(f"{made_by_hand('good_things')}; op.drop_table('good_things')"),
        at="planted_bad:migrations",
    ),
    *(
        Case(
            "T401",
            f"a server default {default} without a migration",
            migrated(with_column(), models=defaulted(default)),
            migrated(with_column(default), models=defaulted(default)),
            at="planted_bad:migrations",
        )
        for default in ("sa.text('0')", "'0'", "sa.func.now()", "sa.text('(1 + 1)')")
    ),
    Case(
        "T401",
        "a default that the migration needed for the rows that were there",
        migrated(with_column(), models=defaulted("'0'")),
        migrated(with_column("'0'"), models=table("things") + "    name: str\n"),
        at="planted_bad:migrations",
    ),
    Case(
        "T402",
        "a migration that fails from nothing",
        migrated("op.drop_table('bad_olds')"),
        migrated(MAKES_TABLE),
        at="planted_bad:migrations",
    ),
    *(
        Case(
            "T403",
            f"a column that the rows have no value for: {name}",
            migrated_later(*bad),
            migrated_later(*good),
            at="planted_bad:migrations/0002_name.py",
        )
        for name, bad, good in (
            ("plain", [added()], [added("nullable=False, server_default=''")]),
            (
                "in a batch",
                [added(batch=True)],
                [added("nullable=False, server_default=''", batch=True)],
            ),
            ("filled afterwards", [added(), FILLED[1]], FILLED),
            (
                "in a table that has another name",
                renamed(added()),
                renamed(added("nullable=False, server_default=''")),
            ),
        )
    ),
    Case(
        "T403",
        "a column of a table that the same revision makes",
        migrated_later(added()),
        migrated_later("pass", first=f"{MAKES_TABLE}; {added()}"),
        at="planted_bad:migrations/0002_name.py",
    ),
]
