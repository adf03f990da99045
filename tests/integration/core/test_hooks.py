"""Hooks at work: what each that is not shown elsewhere does when a module implements it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.support.apps import serving
from tests.support.plants import Garden, minimal
from tests.support.processes import Installation

WHO = """
import structlog

def make():
    router = APIRouter(prefix="/guest")

    @router.get("", dependencies=[requires("guest:look")])
    async def read(principal: CurrentPrincipal) -> int:
        structlog.get_logger("guest").info("looked")
        return principal.id

    return router

@hookimpl
def permissions(): return [Permission("guest:look", roles=("looker",))]

@hookimpl
def routers(version): return [make()]
"""


def test_authenticators_say_who_calls(
    garden: Garden, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The first authenticator that knows the caller decides, and the schema shows its scheme; what
    the route logs from then on names the user."""
    asks = """
    class ByHeader:
        scheme = {"type": "apiKey", "in": "header", "name": "X-Key"}

        def __init__(self, context): self.context = context

        async def __call__(self, connection):
            role = connection.headers.get("x-role")
            return Principal(7, role, self.context.permissions_of(role)) if role else None

    @hookimpl
    def authenticators(context): return [ByHeader(context)]
    """
    garden.plant(
        "guest", minimal("guest", WHO + textwrap.dedent(asks), manifest="roles=('looker',)")
    )
    with serving(sqlite_url, "guest") as client:
        assert client.get("/v1/guest").status_code == 401
        assert client.get("/v1/guest", headers={"X-Role": "other"}).status_code == 403
        assert client.get("/v1/guest", headers={"X-Role": "looker"}).json() == 7
        schemes = client.get("/v2/openapi.json").json()["components"]["securitySchemes"]
        assert schemes["guest"]["name"] == "X-Key"
    lines = [it.msg for it in caplog.records if isinstance(it.msg, dict)]
    assert [it["user"] for it in lines if it["event"] == "looked"] == [7]
    answered = [it for it in lines if it["event"] == "request" and it["path"] == "/v1/guest"]
    assert [(it["status"], it.get("user")) for it in answered] == [(401, None), (403, 7), (200, 7)]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ("pass", 200, {"status": "ok"}),
        ("raise OSError('no bank')", 503, {"status": "down", "reason": "no bank"}),
    ],
)
def test_readiness_is_asked(
    garden: Garden, sqlite_url: str, body: str, status: int, told: dict[str, str]
) -> None:
    """/readyz asks every named check of a module; one that raises makes the process not ready."""
    source = f"""
    async def ask():
        {body}

    @hookimpl
    def readiness(context): return {{"bank": ask}}
    """
    garden.plant("guest", minimal("guest", source))
    with serving(sqlite_url, "guest") as client:
        answer = client.get("/readyz")
        assert answer.status_code == status
        assert answer.json()["modules"]["guest"]["checks"] == {"bank": told}
        assert client.get("/livez").status_code == 200


def test_a_check_that_gives_nothing_to_wait_for_is_told(garden: Garden, sqlite_url: str) -> None:
    """A readiness check that is no coroutine, a partial say, is down with what to do."""
    source = """
    from functools import partial

    @hookimpl
    def readiness(context): return {"bank": partial(print)}
    """
    garden.plant("guest", minimal("guest", source))
    with serving(sqlite_url, "guest") as client:
        told = client.get("/readyz").json()["modules"]["guest"]["checks"]["bank"]
        assert told["status"] == "down"
        assert "async def" in told["reason"]


def test_a_lifespan_is_entered_and_left(garden: Garden, sqlite_url: str, tmp_path: Path) -> None:
    """A module's lifespan begins before it serves, after what it requires, and ends in reverse."""
    diary = tmp_path / "diary"
    body = f"""
    from contextlib import asynccontextmanager
    from pathlib import Path

    def note(word):
        with Path({str(diary)!r}).open("a") as out: out.write(word + " ")

    @asynccontextmanager
    async def life(context):
        note("+" + context.module)
        yield
        note("-" + context.module)

    @hookimpl
    def lifespan(context): return life(context)
    """
    garden.plant("guest", minimal("guest", body, manifest="requires=('host',)"))
    garden.plant("host", minimal("host", body))
    with serving(sqlite_url, "guest", "host"):
        assert diary.read_text() == "+host +guest "
    assert diary.read_text() == "+host +guest -guest -host "


def test_tables_are_made_by_migrations(garden: Garden, sqlite_url: str) -> None:
    """A stranger's tables are made by its own revisions, and its settings reach its routes."""
    source = """
    from pydantic import BaseModel, ConfigDict
    from sqlalchemy import text
    from sqlmodel import SQLModel, Field

    class Base(SQLModel, registry=table_registry("guest")): pass

    class Guest(Base, table=True):
        __tablename__ = "guest_guests"
        id: int = Field(primary_key=True)

    class S(BaseModel):
        model_config = ConfigDict(extra="forbid")
        more: int = 0

    class Book:
        def __init__(self, context): self.more = context.settings.more

    def make():
        router = APIRouter(prefix="/guest", dependencies=[public])

        @router.post("")
        async def come(session: WriteSession, book: Annotated[Book, service(Book)]) -> int:
            await session.exec(text("INSERT INTO guest_guests DEFAULT VALUES"))
            found = await session.exec(text("SELECT count(*) FROM guest_guests"))
            return found.scalar() + book.more

        return router

    @hookimpl
    def settings(): return S
    @hookimpl
    def tables(): return [Guest]
    @hookimpl
    def migrations(): return "planted_guest:migrations"
    @hookimpl
    def services(): return {Book: Book}
    @hookimpl
    def routers(version): return [make()]
    """
    garden.plant("guest", minimal("guest", source))
    revision = """
    import sqlalchemy as sa
    from alembic import op

    revision, down_revision, branch_labels, depends_on = "0001", None, None, None

    def upgrade():
        op.create_table("guest_guests", sa.Column("id", sa.Integer(), primary_key=True))

    def downgrade():
        op.drop_table("guest_guests")
    """
    garden.file("planted_guest", "migrations/0001_guests.py", revision)
    with serving(sqlite_url, "guest", modules={"guest": {"more": 10}}) as client:
        assert [client.post("/v2/guest").json() for _ in range(2)] == [11, 12]


def test_commands_run_in_the_modules_context(garden: Garden, tmp_path: Path) -> None:
    """``tessera <id> …`` runs a module's verb with its context, its own settings in it."""
    source = """
    import typer

    def hello(ctx: typer.Context, name: str):
        async def greet(context):
            return f"{name} meets {context.module} of {context.app.app.name}"
        typer.echo(ctx.obj.run(greet))

    @hookimpl
    def commands():
        group = typer.Typer(help="Greetings.")
        group.command("hello")(hello)
        return group
    """
    garden.plant("guest", minimal("guest", source))
    url = f"sqlite+aiosqlite:///{tmp_path / 'tessera.db'}"
    at = Installation(tmp_path / "at", url, **{"modules.guest": {"enabled": True}})
    at.environ["PYTHONPATH"] = str(garden.folder)
    done = at.run("guest", "hello", "Ann")
    assert (done.returncode, done.stdout.strip()) == (0, "Ann meets guest of Tessera")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("while True: yield Permission('bad:look')", "it gives more than 10,000 things"),
        ("raise ValueError('no idea')\n    yield", "its hook permissions() failed: ValueError"),
    ],
)
def test_a_hook_may_yield(garden: Garden, sqlite_url: str, body: str, reason: str) -> None:
    """A generator is a list of what it yields; one without end, or that raises, fails its module
    with a reason, and the others serve."""
    yields = WHO.replace("): return [make()]", "): yield make()")
    garden.plant("guest", minimal("guest", yields, manifest="roles=('looker',)"))
    garden.plant("bad", minimal("bad", f"@hookimpl\ndef permissions():\n    {body}"))
    with serving(sqlite_url, "guest", "bad") as client:
        assert client.get("/v1/guest").status_code == 401
        assert reason in client.get("/readyz").json()["modules"]["bad"]["reason"]
