"""The sessions of routes: committed before the response, one of a kind a request."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.exceptions import FastAPIError
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import text
from sqlmodel import select

from core.db.engine import Database
from core.db.session import (
    SCOPE_DATABASE,
    ReadSession,
    SyncReadSession,
    SyncWriteSession,
    WriteSession,
)
from tests.support.notes import Note, database_at

Scope = MutableMapping[str, Any]


class WithDatabase:
    """What the process does around an application: put the database into each scope."""

    def __init__(self, app: FastAPI, database: Database) -> None:
        self.app = app
        self.database = database
        self.before_response: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        scope[SCOPE_DATABASE] = self.database

        async def watched(message: Scope) -> None:
            if message["type"] == "http.response.start" and self.before_response:
                await self.before_response()
            await send(message)

        await self.app(scope, receive, watched)


async def count_notes(session: ReadSession) -> int:
    """A dependency that reads, as authentication does."""
    return len((await session.exec(select(Note.id))).all())


def make_app() -> FastAPI:
    app = FastAPI()

    @app.post("/notes/{words}", status_code=201)
    async def write(words: str, session: WriteSession) -> dict[str, int | None]:
        note = Note(text=words)
        session.add(note)
        await session.flush()
        return {"id": note.id}

    @app.post("/refused/{words}")
    async def refuse(words: str, session: WriteSession) -> None:
        session.add(Note(text=words))
        await session.flush()
        raise HTTPException(418)

    @app.post("/plain/{words}", status_code=201)
    def write_plain(words: str, session: SyncWriteSession) -> dict[str, Any]:
        note = Note(text=words)
        session.add(note)
        session.flush()
        session.refresh(note)
        again = session.get(Note, note.id)
        return {
            "id": note.id,
            "same": again is note,
            "texts": session.exec(select(Note.text)).all(),
        }

    @app.delete("/plain/{number}")
    def delete_plain(number: int, session: SyncWriteSession) -> None:
        session.delete(session.get(Note, number))

    @app.get("/plain")
    def read_plain(session: SyncReadSession) -> list[list[Any]]:
        return [list(row) for row in session.exec(select(Note.id, Note.text)).all()]

    @app.get("/sessions")
    async def sessions(
        reading: ReadSession,
        again: ReadSession,
        writing: WriteSession,
        plain: SyncWriteSession,
        notes: Annotated[int, Depends(count_notes)],
    ) -> dict[str, bool | int]:
        return {"one": reading is again, "shared": plain._session is writing, "notes": notes}

    return app


@pytest.fixture
async def served(database: Database) -> WithDatabase:
    """An application with routes of every kind."""
    return WithDatabase(make_app(), database)


@pytest.fixture
async def client(served: WithDatabase) -> AsyncIterator[AsyncClient]:
    """Its client; an unhandled error is a 500, as it is behind a server."""
    transport = ASGITransport(served, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://tessera") as client:
        yield client


async def texts(database: Database) -> list[str]:
    async with database.read() as session:
        return list((await session.exec(select(Note.text))).all())


async def test_committed_before_the_response_begins(
    served: WithDatabase, client: AsyncClient
) -> None:
    """When the first byte of the answer leaves, another connection sees the row."""
    seen: list[list[str]] = []

    async def look() -> None:
        seen.append(await texts(served.database))

    served.before_response = look
    assert (await client.post("/notes/milk")).status_code == 201
    assert seen == [["milk"]]


async def test_failing_commit_is_no_success(served: WithDatabase, client: AsyncClient) -> None:
    """A constraint that breaks at the commit, after the route has returned, is never a 2xx."""
    deferred = {
        "postgresql": "ALTER TABLE notes_notes ADD CONSTRAINT uq_later UNIQUE (count) "
        "DEFERRABLE INITIALLY DEFERRED",
        "sqlite": "CREATE TABLE notes_later (note INTEGER REFERENCES notes_notes (id) "
        "DEFERRABLE INITIALLY DEFERRED)",
    }
    trigger = (
        "CREATE TRIGGER later AFTER INSERT ON notes_notes WHEN NEW.text = 'second' "
        "BEGIN INSERT INTO notes_later VALUES (-1); END"
    )
    async with served.database.writer.begin() as connection:
        await connection.execute(text(deferred[served.database.dialect]))
        if served.database.dialect == "sqlite":
            await connection.execute(text(trigger))
    assert (await client.post("/notes/first")).status_code == 201
    assert (await client.post("/notes/second")).status_code == 500
    assert await texts(served.database) == ["first"]


async def test_error_of_the_route_rolls_back(served: WithDatabase, client: AsyncClient) -> None:
    """A route that raises writes nothing."""
    assert (await client.post("/refused/milk")).status_code == 418
    assert await texts(served.database) == []


async def test_plain_routes_have_the_same_sessions(
    served: WithDatabase, client: AsyncClient
) -> None:
    """A ``def`` route adds, flushes, reads back, deletes and commits through the loop."""
    made = await client.post("/plain/milk")
    assert made.json() == {"id": 1, "same": True, "texts": ["milk"]}
    assert (await client.get("/plain")).json() == [[1, "milk"]]
    assert (await client.delete("/plain/1")).status_code == 200
    assert await texts(served.database) == []


async def test_one_session_of_a_kind(client: AsyncClient) -> None:
    """All dependencies of a request share its read session and its write session."""
    assert (await client.get("/sessions")).json() == {"one": True, "shared": True, "notes": 0}


async def test_routes_do_not_starve_each_other(database_url: str, database: Database) -> None:
    """More requests than connections, each reading and writing, all come through."""
    small = database_at(database_url, pool_size=1)
    transport = ASGITransport(WithDatabase(make_app(), small))
    async with AsyncClient(transport=transport, base_url="http://tessera") as client:
        async with asyncio.timeout(20):
            answers = await asyncio.gather(
                *(client.post(f"/notes/{i}") for i in range(40)),
                *(client.get("/sessions") for _ in range(40)),
            )
    assert {answer.status_code for answer in answers} == {200, 201}
    await small.close()


async def test_author_is_told_about_the_scope() -> None:
    """A yield dependency without scope="function" that takes a session is refused by name."""

    async def unit(session: WriteSession) -> AsyncIterator[WriteSession]:
        yield session

    app = FastAPI()
    with pytest.raises(FastAPIError, match=r'scope of "request".*scope "function"'):

        @app.get("/")
        async def route(session: Annotated[Any, Depends(unit)]) -> None: ...
