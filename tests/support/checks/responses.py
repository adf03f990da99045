"""T2: responses."""

from __future__ import annotations

from textwrap import dedent

from tests.support.checks.plots import routes

PEOPLE = dedent(
    """
    from typing import Generic, TypeVar
    from typing_extensions import TypeAliasType, TypedDict
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

    T = TypeVar("T")

    class Bag(TypedDict, Generic[T]):
        of: T
        person: Person

    Rows = TypeAliasType("Rows", list[Person])
    """
)


UNMIGRATED = ("T401",)


def answers(annotation: str, options: str = "") -> str:
    """A route that answers with something."""
    arrow = f" -> {annotation}" if annotation else ""
    return f"""
    @router.get(""{options and ", " + options})  #<
    async def read(){arrow}:
        raise NotFound
    """


SENT = """
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response

class Named(Schema):
    name: str

class Counted(Person, table=True):
    __tablename__ = "bad_counted"

    def dict(self):
        return {"id": self.id}

async def known(session: ReadSession) -> Person:
    return await session.get_one(Person, 1)
"""


def sent(content: str) -> str:
    """A route that makes its response itself."""
    return f"""
    @router.get("")  #<
    async def read(session: ReadSession, person=Depends(known)) -> Response:
        row = await session.get(Person, 1)
        counted = await session.get(Counted, 1)
        named = Named(name=row.name)
        return {content}
    """


RESPONSES = [
    routes("T201", name, bad=bad, good=good, head=PEOPLE, silence=UNMIGRATED)
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
            "one of several",
            answers("dict[str, Shown | Person]"),
            answers("dict[str, Shown | None]"),
        ),
        ("a row in a typed dictionary", answers("Bag[int]"), answers("Shown")),
        ("under an alias", answers("Rows"), answers("list[Shown]")),
        (
            "under another status",
            answers("Shown", "responses={202: {'model': Person}}"),
            answers("Shown", "responses={202: {'model': Shown}, 404: {'description': 'none'}}"),
        ),
        (
            "a row that no response model filters",
            answers("Person", "response_model=None"),
            answers("Person", "response_model=dict[str, int]"),
        ),
    )
] + [
    *(
        routes(
            "T201",
            f"sent by hand: {content}",
            head=PEOPLE + SENT,
            bad=sent(content),
            good=sent(good),
            silence=UNMIGRATED,
        )
        for content, good in (
            ("JSONResponse(jsonable_encoder(row))", "JSONResponse(jsonable_encoder(named))"),
            ("Response(row.model_dump_json())", "Response(named.model_dump_json())"),
            (
                "JSONResponse(content=row.model_dump())",
                "JSONResponse(row.model_dump(include={'id'}))",
            ),
            ("JSONResponse({'row': person.model_dump()})", "JSONResponse({'row': person.id})"),
            ("JSONResponse(jsonable_encoder([row]))", "JSONResponse([row.name])"),
            ("JSONResponse([counted.model_dump()])", "JSONResponse([counted.dict()])"),
        )
    ),
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
                tokens: dict[str, int]
                hidden: SecretStr
                token: Annotated[str, Described(json_schema_extra={"x-secret": "meant"})]
                salt: str = Described(exclude=True)

            Bad.model_rebuild()
            """
        ),
        bad=answers("Bad"),
        good=answers("Fine"),
        silence=UNMIGRATED,
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
        "T202",
        "kept back in part",
        head="""
        class Owner(Schema):
            name: str
            password: str

        class Kept(Schema):
            owner: Owner
        """,
        bad=answers("Kept", "response_model_exclude={'owner': {'name'}}"),
        good=answers("Kept", "response_model_exclude={'owner': True}"),
    ),
    routes(
        "T202",
        "hidden, but for a serializer",
        head="""
        from pydantic import SecretStr, field_serializer

        class Hidden(Schema):
            password: SecretStr

        class Shown(Hidden):
            @field_serializer("password")
            def in_the_clear(self, value: SecretStr) -> str:
                return value.get_secret_value()
        """,
        bad=answers("Shown"),
        good=answers("Hidden"),
    ),
    routes(
        "T202",
        "a number, a computed field",
        head="""
        from pydantic import computed_field

        class Coded(Schema):
            @computed_field
            @property
            def pin_code(self) -> int:
                return 1

        class Counted(Schema):
            otp_sent: bool
            password_count: int
            pinned: int
            tokens_used: int

            @computed_field
            @property
            def key(self) -> str:
                return ""
        """,
        bad=answers("Page[Coded] | None"),
        good=answers("Page[Counted]"),
    ),
    *(
        routes(
            "T202",
            f"a name such as {secret}",
            head=f"""
            from pydantic import Field

            class Named(Schema):
                value: {kind} = Field(serialization_alias="{secret}")

            class Fine(Schema):
                value: {kind} = Field(serialization_alias="{harmless}")
            """,
            bad=answers("Named"),
            good=answers("Fine"),
        )
        for secret, harmless, kind in (
            ("totp_seed", "random_seed", "str"),
            ("cardNumber", "masked_card_number", "str"),
            ("card_number", "scorecard_number", "int"),
            ("ssn", "session", "str"),
            ("user_ssn", "ssn_sent", "int"),
            ("bearer", "bearer_name", "str"),
            ("passwd", "passwd_policy", "str"),
            ("pw", "kw", "str"),
            ("pass", "boarding_pass", "str"),
            ("tokens", "token_types", "list[str]"),
            ("refreshTokens", "designTokens", "list[str]"),
            ("tokens_text", "tokens_used", "str"),
            ("api_keys", "keys", "list[str]"),
            ("api_key", "public_api_key", "str"),
            ("private_keys", "public_keys", "list[str]"),
            ("master_key", "sort_key", "str"),
            ("ssh_key", "public_ssh_key", "str"),
            ("hmac_key", "idempotency_key", "str"),
            ("hashed_pw", "hashed", "str"),
            ("pwhash", "etag_hash", "str"),
            ("passwordhash", "password_changed_at", "str"),
            ("backup_codes", "country_codes", "list[str]"),
            ("secret_answer", "secret_question", "str"),
            ("seed_phrase", "search_phrase", "str"),
        )
    ),
    routes(
        "T203",
        "nothing said",
        bad=answers(""),
        good=answers("", "status_code=204") + answers("int").replace('get("")', 'post("")'),
    ),
    *(
        routes(
            "T203",
            f"something said that filters nothing: {vague}",
            head=PEOPLE + "\nfrom typing import Any\nfrom fastapi import Response\n",
            bad=answers(vague, options),
            good=answers(clear, options),
            silence=UNMIGRATED,
        )
        for vague, clear, options in (
            ("Any", "Response", ""),
            ("object", "Shown", ""),
            ("list", "list[Shown]", ""),
            ("dict", "dict[str, int]", ""),
            ("list[Any]", "list[str | None]", ""),
            ("dict[str, Any]", "dict[str, list[Shown]]", ""),
            ("tuple[dict[str, Any], ...] | None", "tuple[int, ...] | None", ""),
            ("dict[str, Any]", "dict[str, str]", "response_model=None"),
        )
    ),
    routes(
        "T203",
        "a response model that filters nothing",
        head="from typing import Any",
        bad=answers("int", "response_model=dict[str, Any]"),
        good=answers("Any", "response_model=dict[str, int]"),
    ),
]
