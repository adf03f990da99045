"""T3: models and validators."""

from __future__ import annotations

from textwrap import dedent, indent

from tests.support.checks.plots import Case, Plot, bodies, module
from tests.support.checks.tables import MAKES_TABLE, MIGRATIONS, REVISION, table, tables


def validated(source: str) -> Plot:
    """Module `bad` with the table `bad_things`, which validators are about."""
    head = "from pydantic import field_validator\nfrom sqlmodel import SQLModel\n"
    return Plot(
        module(head + dedent(source) + tables("Thing") + MIGRATIONS),
        files={"migrations/0001_things.py": REVISION.format(MAKES_TABLE)},
    )


MODELS = [
    bodies(
        "T301",
        "a misspelt field",
        bad="""
        from pydantic import field_validator

        class Thing(Schema):
            name: str

            @field_validator("nme", check_fields=False)
            @classmethod
            def not_empty(cls, value):  #<
                return value
        """,
        good="""
        from pydantic import field_validator

        class Mixin(Schema):
            @field_validator("name", check_fields=False)
            @classmethod
            def not_empty(cls, value):
                return value

        class Thing(Mixin):
            name: str
        """,
    ),
    bodies(
        "T302",
        "no decorator",
        bad="""
        class Thing(Schema):
            name: str

            def validate_name(cls, value):  #<
                return value
        """,
        good="""
        from pydantic import field_validator

        class Thing(Schema):
            name: str

            @field_validator("name")
            @classmethod
            def validate_name(cls, value):
                return value

            def check_against(self, other):
                return self.name == other.name

        def alike(one, other):
            return one.check_against(other)
        """,
    ),
    Case(
        "T303",
        "a validator on a table",
        validated(
            table("things")
            + indent(
                '@field_validator("id")\n@classmethod\ndef positive(cls, value):  #<\n'
                "    return value\n",
                "    ",
            )
        ),
        validated(
            """
            class Common(SQLModel):
                @field_validator("id", check_fields=False)
                @classmethod
                def positive(cls, value):
                    return value

            class Shown(Common):
                id: int

            class Thing(Common, table_base("bad"), table=True):
                __tablename__ = "bad_things"
                id: int | None = BigId()
            """
        ),
    ),
]
