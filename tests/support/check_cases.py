"""For every code of `check` a module or deployment that has the fault, and one that only looks so.

The line that a finding must name is marked with ``#<``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from core.checks.finding import Finding
from core.checks.run import run
from core.settings import Settings
from tests.support.plants import Garden, minimal, with_route

MARK = "#<"
KEY = "kR7-vZq2_wXe9TbN4mYc8LsJ1hGd6fPa0uQo3i"
SAFE: Mapping[str, Any] = {
    "app": {"secret_key": KEY},
    "server": {"trusted_proxies": ["10.0.0.1"]},
    "database": {"url": "postgresql+asyncpg://shop:r4nd0mly-typed@db/shop"},
}
"""Settings with which production may start, and nothing to say of them."""


@dataclass(frozen=True)
class Plot:
    """What is planted: module `bad`, other modules, files, settings."""

    source: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    deploy: bool = False
    prepare: Callable[[Garden], Mapping[str, str] | None] | None = None

    def findings(self, garden: Garden) -> list[Finding]:
        """What `check` says of it."""
        for name, source in self.others.items():
            garden.plant(name, source)
        if self.source:
            garden.plant("bad", self.source)
            for path, content in self.files.items():
                garden.file("planted_bad", path, content)
        origins = self.prepare(garden) if self.prepare else None
        names = [*self.others, *(["bad"] if self.source else [])]
        modules = {name: {"enabled": True} for name in names}
        settings = Settings.for_tests(**{**self.settings, "modules": modules})
        settings._origins.update(origins or {})
        return run(settings, deploy=self.deploy)

    def marked(self) -> list[str]:
        """The places that are marked."""
        texts = {"module.py": self.source, **{p: dedent(t) for p, t in self.files.items()}}
        return [
            f"planted_bad/{path}:{number}"
            for path, text in texts.items()
            # The garden dedents what it plants; a first line that is empty stays.
            for number, line in enumerate(dedent(text).splitlines(), 1)
            if MARK in line
        ]


@dataclass(frozen=True)
class Case:
    """A fault and its look-alike."""

    code: str
    name: str
    bad: Plot
    good: Plot
    at: str = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.name}"


def module(body: str, **options: str) -> str:
    """The source of module `bad`."""
    return minimal("bad", dedent(body), **options)


def routed(routes: str, head: str = "") -> str:
    """The source of module `bad` with these routes below /v1/bad."""
    return module(
        dedent(head)
        + "\ndef make():\n    router = APIRouter(prefix='/bad', dependencies=[public])\n"
        + indent(dedent(routes), "    ")
        + "\n    return router\n\n"
        + "@hookimpl\ndef routers(version):\n    return [make()] if version == 'v1' else []\n"
    )


def settings(**sections: Mapping[str, Any]) -> Mapping[str, Any]:
    """Safe settings with these changes."""
    return {**SAFE, **{name: {**SAFE.get(name, {}), **s} for name, s in sections.items()}}


def deployed(**sections: Mapping[str, Any]) -> Plot:
    """A deployment without modules, judged as production."""
    return Plot(settings=settings(**sections), deploy=True)


def routes(code: str, name: str, *, bad: str, good: str, head: str = "") -> Case:
    """A case in a module's routes."""
    return Case(code, name, Plot(routed(bad, head)), Plot(routed(good, head)))


def bodies(code: str, name: str, *, bad: str, good: str) -> Case:
    """A case in a module's code, without routes."""
    return Case(code, name, Plot(module(bad)), Plot(module(good)))


# ── T0: modules ──────────────────────────────────────────────────────────────────────────────────

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
CLASS_VAR = "from typing import ClassVar\n"
MAKES_TABLE = (
    "op.create_table('bad_things', sa.Column('id', sa.BigInteger().with_variant(sa.Integer, "
    "'sqlite'), nullable=False), sa.PrimaryKeyConstraint('id', name='pk_bad_things'))"
)


def migrated(revision: str, *, models: str = "") -> Plot:
    """Module `bad` with a table `bad_things` and this revision."""
    source = module((models or table("things")) + tables("Thing") + MIGRATIONS)
    return Plot(source, files={"migrations/0001_things.py": REVISION.format(revision)})


PERMITS = "\n@hookimpl\ndef permissions():\n    return [{}]\n"

SERVICE = """
    @hookimpl
    def services():
        from planted_contract import Clock
        return {{Clock: {0}}}
"""


def contract(garden: Garden) -> None:
    """A package that both modules of a case import."""
    (garden.folder / "planted_contract").mkdir()
    garden.file("planted_contract", "__init__.py", "class Clock:\n    pass\n")


def editable(points: str) -> Callable[[Garden], None]:
    """Make `planted-bad` an editable install whose pyproject.toml has these entry points."""

    def prepare(garden: Garden) -> None:
        tree = garden.folder / "tree"
        tree.mkdir()
        write_project(tree, points)
        origin = {"url": tree.as_uri(), "dir_info": {"editable": True}}
        info = garden.folder / "planted_bad-1.0.dist-info"
        (info / "direct_url.json").write_text(json.dumps(origin))

    return prepare


def beside(points: str) -> Callable[[Garden], None]:
    """A pyproject.toml of `planted-bad` beside what an earlier build has left."""
    return lambda garden: write_project(garden.folder, points)


def write_project(folder: Path, points: str) -> None:
    """A pyproject.toml with these entry points."""
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "planted-bad"\n[project.entry-points."tessera.modules"]\n{points}\n'
    )


CHECKS = """
    def look(context):
        {0}

    @hookimpl
    def checks():
        return [look]
"""

GOOD = with_route("good")
OTHERS_CONTRACT = {"good": minimal("good")}


def inside_of_good(garden: Garden) -> None:
    """Give module `good` something to import."""
    garden.file("planted_good", "contracts.py", "class Clock:\n    pass\n")
    garden.file("planted_good", "service.py", "class Clock:\n    pass\n")


def importing(line: str, *, requires: str = "") -> Plot:
    """Module `bad` with an import, beside module `good`."""
    source = module(line, manifest=f"requires=({requires!r},)" if requires else "")
    return Plot(source, others=OTHERS_CONTRACT, prepare=inside_of_good)


MODULES = [
    Case(
        "T001",
        "a requirement that is not met",
        Plot(minimal("bad", manifest="requires=('nowhere',)")),
        Plot(minimal("bad", manifest="optional=('nowhere',)")),
        at="planted_bad.module",
    ),
    Case(
        "T002",
        "two classes, one table",
        Plot(
            module(
                table("things")
                + table("things", base="other").replace("class Thing", "class Other")
                + tables("Thing", "Other")
                + MIGRATIONS
            ),
            files={"migrations/0001_things.py": REVISION.format(MAKES_TABLE)},
        ),
        migrated(MAKES_TABLE),
        at="bad_things",
    ),
    Case(
        "T003",
        "a permission that is declared twice with other roles",
        Plot(module(PERMITS.format("Permission('bad:do', roles=('user',)), Permission('bad:do')"))),
        Plot(module(PERMITS.format("Permission('bad:do'), Permission('bad:do-not')"))),
        at="bad:do",
    ),
    Case(
        "T004",
        "a prefix that is another's",
        Plot(with_route("bad", prefix="good/sub"), others={"good": GOOD}),
        Plot(with_route("bad", prefix="goods"), others={"good": GOOD}),
        at="planted_bad.module",
    ),
    Case(
        "T005",
        "an import that the manifest keeps quiet about",
        importing("from planted_good.contracts import Clock  #<"),
        importing("from planted_good.contracts import Clock", requires="good"),
    ),
    Case(
        "T006",
        "another module's service",
        importing("from planted_good.service import Clock  #<", requires="good"),
        importing("from planted_good import contracts", requires="good"),
    ),
    Case(
        "T007",
        "core's inside",
        Plot(module("from core.http.edge import HSTS  #<")),
        Plot(
            module("from core import plugin\nimport coreless as core_of_ours"),
            files={},
            prepare=lambda garden: garden.file("coreless", "__init__.py", ""),
        ),
    ),
    Case(
        "T008",
        "an entry point that is new in pyproject.toml",
        Plot(minimal("bad"), prepare=editable('bad = "planted_bad.module"\nnew = "x.module"')),
        Plot(minimal("bad"), prepare=editable('bad = "planted_bad.module"')),
        at="tree/pyproject.toml",
    ),
    Case(
        "T008",
        "an entry point that has moved, in a tree that was built in place",
        Plot(minimal("bad"), prepare=beside('bad = "planted_bad.other"')),
        Plot(minimal("bad"), prepare=beside('bad = "planted_bad.module"')),
        at="pyproject.toml",
    ),
    Case(
        "T009",
        "a check that raises",
        Plot(module(CHECKS.format("raise SystemExit('boom')"))),
        Plot(module(CHECKS.format("return []"))),
        at="bad: look",
    ),
    Case(
        "T009",
        "a check with a code of somebody else",
        Plot(module(CHECKS.format("yield Finding('T201', 'here', 'why', 'what')"))),
        Plot(module(CHECKS.format("yield from ()"))),
        at="bad: look",
    ),
    Case(
        "T010",
        "a service that another offers",
        Plot(
            module(SERVICE.format("lambda context: Clock()")),
            others={"good": minimal("good", dedent(SERVICE.format("lambda context: Clock()")))},
            prepare=contract,
        ),
        Plot(
            module(
                SERVICE.format("replacing(lambda context: Clock())"), manifest="requires=('good',)"
            ),
            others={"good": minimal("good", dedent(SERVICE.format("lambda context: Clock()")))},
            prepare=contract,
        ),
        at="planted_bad.module",
    ),
]

# ── T1: routes and dependencies ──────────────────────────────────────────────────────────────────

ROUTES = [
    routes(
        "T101",
        "one path and method twice",
        bad="""
        @router.get("/{thing}")
        async def read(thing: int) -> int:
            return 1

        @router.get("/{other}")  #<
        async def read_again(other: int) -> int:
            return 2
        """,
        good="""
        @router.get("/{thing}")
        async def read(thing: int) -> int:
            return 1

        @router.delete("/{thing}")
        async def remove(thing: int) -> int:
            return 2
        """,
    ),
    routes(
        "T102",
        "a parameter before a fixed path",
        bad="""
        @router.get("/{thing}")
        async def read(thing: str) -> int:
            return 1

        @router.get("/latest")  #<
        async def latest() -> int:
            return 2
        """,
        good="""
        @router.get("/latest")
        async def latest() -> int:
            return 2

        @router.get("/{thing}")
        async def read(thing: str) -> int:
            return 1

        @router.get("/{thing}/parts")
        async def parts(thing: str) -> int:
            return 1
        """,
    ),
    routes(
        "T102",
        "a parameter that takes text before one that takes numbers",
        bad="""
        @router.get("/{name}")
        async def by_name(name: str) -> int:
            return 1

        @router.get("/{number:int}")  #<
        async def by_number(number: int) -> int:
            return 2
        """,
        good="""
        @router.get("/{number:int}")
        async def by_number(number: int) -> int:
            return 2

        @router.get("/{name}")
        async def by_name(name: str) -> int:
            return 1
        """,
    ),
    routes(
        "T103",
        "PATCH that asks for all",
        head="""
        from typing import Literal
        from pydantic import Field

        class All(Schema):
            name: str
            note: str | None

        class Some(Schema):
            kind: Literal["thing"]
            name: str = ""
            note: Annotated[str | None, Field()] = None
        """,
        bad="""
        @router.patch("")  #<
        async def change(body: All) -> int:
            return 1
        """,
        good="""
        @router.put("")
        async def replace(body: All) -> int:
            return 1

        @router.patch("")
        async def change(body: Some) -> int:
            return 1
        """,
    ),
    routes(
        "T103",
        "PATCH that means its one field",
        head="""
        from pydantic import Field

        class State(Schema):
            state: str

        class Meant(Schema):
            state: Annotated[str, Field(json_schema_extra={"x-required": "meant"})]
        """,
        bad="""
        @router.patch("")  #<
        async def change(body: State) -> int:
            return 1
        """,
        good="""
        @router.patch("")
        async def change(body: Meant) -> int:
            return 1
        """,
    ),
    Case(
        "T104",
        "a shared list with a name",
        Plot(
            routed(
                """
                @router.get("")
                async def read(found: Annotated[list, Depends(filters)]) -> int:
                    return 1
                """,
                """
                from fastapi import Query

                NONE: list[str] = []

                def filters(tags: Annotated[list[str], Query()] = NONE) -> list[str]:  #<
                    return tags
                """,
            )
        ),
        Plot(
            routed(
                """
                @router.get("")
                async def read(found: Annotated[tuple, Depends(filters)]) -> int:
                    return 1
                """,
                """
                from fastapi import Query

                def filters(tags: Annotated[tuple[str, ...], Query()] = ()) -> tuple:
                    return tags
                """,
            )
        ),
    ),
    bodies(
        "T104",
        "a list that is written in the signature, which ruff sees",
        bad="""
        def gather(thing, into=[]):  #<
            into.append(thing)
            return into
        """,
        good="""
        def gather(thing, into=()):
            return (*into, thing)
        """,
    ),
    routes(
        "T105",
        "a class that is a dependency",
        head="""
        from typing import ClassVar

        class Seen:  #<
            names: list[str] = []

        class Kept:
            names: ClassVar[list[str]] = []

            def __init__(self, name: str = "") -> None:
                self.mine = [name]
        """,
        bad="""
        @router.get("")
        async def read(seen: Annotated[Seen, Depends()]) -> int:
            return 1
        """,
        good="""
        @router.get("")
        async def read(kept: Annotated[Kept, Depends()]) -> int:
            return 1
        """,
    ),
]

# ── T2: responses ────────────────────────────────────────────────────────────────────────────────

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

# ── T3: models and validators ────────────────────────────────────────────────────────────────────

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
        *(
            Plot(
                module(
                    "from pydantic import field_validator\nfrom sqlmodel import SQLModel\n"
                    + source
                    + tables("Thing")
                    + MIGRATIONS
                ),
                files={"migrations/0001_things.py": REVISION.format(MAKES_TABLE)},
            )
            for source in (
                table("things")
                + indent(
                    '@field_validator("id")\n@classmethod\ndef positive(cls, value):  #<\n'
                    "    return value\n",
                    "    ",
                ),
                dedent(
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
            )
        ),
    ),
]

# ── T4: migrations ───────────────────────────────────────────────────────────────────────────────

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
        Plot(module(table("things"))),
        at="bad_things",
    ),
    Case(
        "T402",
        "a migration that fails from nothing",
        migrated("op.drop_table('bad_olds')"),
        migrated(MAKES_TABLE),
        at="planted_bad:migrations",
    ),
]

# ── T5, T6: the event loop, sessions ─────────────────────────────────────────────────────────────

LOOP = [
    bodies(
        "T501",
        "directly",
        bad="""
        import time

        async def read():
            time.sleep(1)  #<
        """,
        good="""
        import asyncio, time

        async def read():
            await asyncio.sleep(1)
            await asyncio.to_thread(time.sleep, 1)
            await asyncio.to_thread(lambda: time.sleep(1))

        def in_a_thread():
            time.sleep(1)
        """,
    ),
    bodies(
        "T501",
        "through another name",
        bad="""
        from time import sleep as pause

        async def read():
            pause(1)  #<
        """,
        good="""
        from asyncio import sleep as pause

        async def read():
            await pause(1)
        """,
    ),
    bodies(
        "T501",
        "through an assigned name",
        bad="""
        import time as clock

        class Service:
            async def read(self):
                t = clock
                t.sleep(1)  #<
        """,
        good="""
        import time as clock

        class Clock:
            def sleep(self, seconds):
                return seconds

        class Service:
            async def read(self):
                t = Clock()
                t.sleep(1)
                return clock.time()
        """,
    ),
    bodies(
        "T501",
        "an instance",
        bad="""
        async def read():
            import requests

            with requests.Session() as session:
                return session.get("https://rates.example")  #<
        """,
        good="""
        async def read():
            import httpx2

            async with httpx2.AsyncClient() as session:
                return await session.get("https://rates.example")
        """,
    ),
    bodies(
        "T501",
        "a password that is hashed on the loop",
        bad="""
        import hashlib

        async def read(password):
            return hashlib.scrypt(password, salt=b"", n=2, r=1, p=1)  #<
        """,
        good="""
        import hashlib

        async def read(password):
            return hashlib.sha256(password)
        """,
    ),
    bodies(
        "T501",
        "a file, which ruff sees",
        bad="""
        async def read():
            return open("x").read()  #<
        """,
        good="""
        def read():
            with open("x") as file:
                return file.read()
        """,
    ),
    Case(
        "T502",
        "one helper away",
        Plot(
            module(
                """
                from planted_bad.helpers import rate

                async def read():
                    return rate()  #<
                """
            ),
            files={"helpers.py": "import time\ndef rate():\n    time.sleep(1)\n"},
        ),
        Plot(
            module(
                """
                import asyncio
                from planted_bad.helpers import rate

                async def read():
                    return await asyncio.to_thread(rate)

                def in_a_thread():
                    return rate()
                """
            ),
            files={"helpers.py": "import time\ndef rate():\n    time.sleep(1)\n"},
        ),
    ),
    bodies(
        "T502",
        "methods of a service, two helpers away",
        bad="""
        import time

        class Rates:
            def get(self):
                return self._wait()

            def _wait(self):
                time.sleep(1)

        class Service:
            def __init__(self, rates: Rates) -> None:
                self._rates = rates

            async def read(self):
                return self._rates.get()  #<
        """,
        good="""
        import time

        class Rates:
            def get(self):
                return 1

            def _wait(self):
                time.sleep(1)

        class Service:
            def __init__(self, rates: Rates) -> None:
                self._rates = rates

            async def read(self):
                return self._rates.get()
        """,
    ),
    bodies(
        "T503",
        "a function of the package",
        bad="""
        async def save():
            return 1

        async def read():
            save()  #<
        """,
        good="""
        import asyncio

        async def save():
            return 1

        async def read():
            await save()
            task = asyncio.create_task(save())
            await asyncio.gather(task, save())
            return save()
        """,
    ),
    bodies(
        "T503",
        "a method of the session",
        bad="""
        async def remove(session: WritableSession, thing):
            session.add(thing)
            session.delete(thing)  #<
        """,
        good="""
        async def remove(session: WritableSession, thing):
            session.add(thing)
            await session.delete(thing)
        """,
    ),
    bodies(
        "T503",
        "a service behind an annotation",
        bad="""
        from typing import Protocol

        class Things(Protocol):
            async def drop(self) -> None: ...

        Service = Annotated[Things, service(Things)]

        async def remove(things: Service):
            things.drop()  #<
        """,
        good="""
        from typing import Protocol

        class Things(Protocol):
            def drop(self) -> None: ...

        Service = Annotated[Things, service(Things)]

        async def remove(things: Service):
            things.drop()
        """,
    ),
    bodies(
        "T504",
        "an if",
        bad="""
        async def allowed():
            return False

        async def read():
            if not allowed():  #<
                return 1
        """,
        good="""
        async def allowed():
            return False

        async def read():
            if not await allowed():
                return 1
        """,
    ),
    bodies(
        "T601",
        "hashing after the first use",
        bad="""
        async def register(session: WriteSession, passwords, repository, name):
            await repository.add(session, name)
            hashed = await passwords.hash(name)  #<
            await repository.set(session, hashed)
        """,
        good="""
        async def register(session: WriteSession, passwords, repository, name):
            session.after_commit(name)
            hashed = await passwords.hash(name)
            await repository.set(session, hashed)

        async def read(session: ReadSession, passwords, repository):
            await repository.get(session)
            await passwords.hash("x")

        async def either(session: WriteSession, passwords, repository):
            if repository:
                await session.flush()
                return
            await passwords.hash("x")
        """,
    ),
    bodies(
        "T601",
        "slow work in a helper, a session of its own",
        bad="""
        import asyncio

        async def fetch():
            await asyncio.sleep(1)

        async def job(context: Context, repository):
            async with context.write() as session:
                await repository.get(session)
                await fetch()  #<
        """,
        good="""
        import asyncio

        async def fetch():
            await asyncio.sleep(1)

        async def job(context: Context, repository):
            async with context.read() as session:
                await repository.get(session)
            await fetch()
            async with context.write() as session:
                await repository.set(session, await fetch())
            await fetch()
        """,
    ),
]

# ── T9: the deployment ───────────────────────────────────────────────────────────────────────────


def kept(mode: int, text: str = "", **origins: str) -> Callable[[Garden], Mapping[str, str]]:
    """A settings file of that mode, which these settings came from."""

    def prepare(garden: Garden) -> Mapping[str, str]:
        path: Path = garden.folder / "settings.toml"
        path.write_text(text)
        path.chmod(mode)
        return {key.replace("__", "."): str(path) for key in origins}

    return prepare


def stored(mode: int, key: str) -> Plot:
    """A deployment with one setting in a file of that mode."""
    return Plot(settings=settings(), deploy=True, prepare=kept(mode, **{key: ""}))


POSTGRESQL = "postgresql+asyncpg://{}@db/shop"
DEPLOYMENT = [
    Case(code, name, deployed(**bad), deployed(**good), at=at)
    for code, name, at, bad, good in (
        (
            "T901",
            "a key from a tutorial",
            "app.secret_key",
            {"app": {"secret_key": "secret" * 9}},
            {},
        ),
        ("T901", "debug", "app.debug", {"app": {"debug": True}}, {"app": {"debug": False}}),
        ("T902", "docs", "server.docs", {"server": {"docs": True}}, {"server": {"docs": False}}),
        (
            "T903",
            "every origin",
            "cors.allowed_origins",
            {"cors": {"allowed_origins": ["*"]}},
            {"cors": {"allowed_origins": ["https://shop.example"]}},
        ),
        (
            "T904",
            "every proxy",
            "server.trusted_proxies",
            {"server": {"trusted_proxies": ["*"]}},
            {"server": {"trusted_proxies": ["10.0.0.0/8"]}},
        ),
        (
            "T905",
            "a proxy on this machine",
            "server.trusted_proxies",
            {"server": {"trusted_proxies": []}},
            {"server": {"trusted_proxies": ["127.0.0.1"]}},
        ),
        ("T906", "one file", "database.url", {"database": {"url": "sqlite+aiosqlite:///x.db"}}, {}),
        (
            "T907",
            "caches apart",
            "redis.url",
            {"server": {"workers": 2}},
            {"server": {"workers": 2}, "redis": {"url": "redis://cache/0"}},
        ),
        (
            "T910",
            "statements",
            "database.echo",
            {"database": {"echo": True}},
            {"server": {"log_level": "warning"}},
        ),
        (
            "T911",
            "the user's name",
            "database.url",
            {"database": {"url": POSTGRESQL.format("shop:shop")}},
            {"database": {"url": POSTGRESQL.format("shop:shop-9f2KxQ")}},
        ),
        (
            "T912",
            "open to the network",
            "server.host",
            {"server": {"host": "0.0.0.0", "trusted_proxies": []}},
            {"server": {"host": "0.0.0.0"}},
        ),
    )
] + [
    Case(
        "T908",
        "a key for all to read",
        stored(0o644, "app__secret_key"),
        stored(0o640, "app__secret_key"),
        at="settings.toml",
    ),
    Case(
        "T908",
        "no secret in it",
        stored(0o644, "database__url"),
        stored(0o644, "database__pool_size"),
        at="settings.toml",
    ),
    Case(
        "T909",
        "settings for all to write",
        stored(0o622, "database__pool_size"),
        stored(0o620, "database__pool_size"),
        at="settings.toml",
    ),
]

CASES = [*MODULES, *ROUTES, *RESPONSES, *MODELS, *MIGRATED, *LOOP, *DEPLOYMENT]
