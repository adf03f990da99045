"""T2: responses."""

from __future__ import annotations

from textwrap import dedent

from tests.support.checks.plots import routes

PEOPLE = dedent(
    """
    from pydantic import Field as Described
    from sqlmodel import Field, SQLModel

    class Common(SQLModel):
        name: str = ""

    class Person(Common, table_base("bad"), table=True):
        __tablename__ = "bad_people"
        id: int | None = BigId()

    class Shown(Common):
        id: int

    class Wrapped(Schema):
        people: list[Person]
    """
)


def answers(annotation: str, options: str = "") -> str:
    """A route that answers with something."""
    arrow = f" -> {annotation}" if annotation else ""
    return f"""
    @router.get(""{options and ", " + options})  #<
    async def read(){arrow}:
        raise NotFound
    """


RESPONSES = [
    routes("T201", name, bad=bad, good=good, head=PEOPLE)
    for name, bad, good in (
        ("a row", answers("Person"), answers("Shown")),
        ("a list of rows", answers("list[Person]"), answers("list[Shown]")),
        ("a page of rows", answers("Page[Person]"), answers("Page[Shown]")),
        ("rows in a schema", answers("Wrapped | None"), answers("Shown | None")),
        (
            "a response model",
            answers("Any", "response_model=dict[str, Person]").replace("Any", "object"),
            answers("Person", "response_model=Shown"),
        ),
        (
            "a row that no response model filters",
            answers("Person", "response_model=None"),
            answers("Person", "response_model=dict[str, int]"),
        ),
    )
] + [
    routes(
        "T202",
        "a hash",
        head=PEOPLE
        + dedent(
            """
            from datetime import datetime
            from pydantic import SecretStr

            class Bad(Schema):
                inner: "list[Worse]"

            class Worse(Schema):
                passwordHash: str | None

            class Fine(Schema):
                has_password: bool
                password_changed_at: datetime
                token_type: str
                next_page_token: str
                public_key: str
                hidden: SecretStr
                token: Annotated[str, Described(json_schema_extra={"x-secret": "meant"})]
                salt: str = Described(exclude=True)

            Bad.model_rebuild()
            """
        ),
        bad=answers("Bad"),
        good=answers("Fine"),
    ),
    routes(
        "T202",
        "a key under another name",
        head="""
        from pydantic import Field

        class Named(Schema):
            value: str = Field(serialization_alias="api_key")
        """,
        bad=answers("Named"),
        good=answers("Named", "response_model_exclude={'value'}"),
    ),
    routes(
        "T203",
        "nothing said",
        bad=answers(""),
        good=answers("", "status_code=204") + answers("int").replace('get("")', 'post("")'),
    ),
]
