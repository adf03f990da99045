"""T601: write sessions that are open too long."""

from __future__ import annotations

from tests.support.checks.plots import bodies

SESSIONS = [
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
    bodies(
        "T601",
        "a repository that keeps the session",
        bad="""
        import asyncio
        import httpx2

        class Things:
            def __init__(self, session):
                self._session = session

            async def get(self, thing):
                return await self._session.get(Things, thing)

        async def fetch():
            async with httpx2.AsyncClient() as client:
                return await client.get("https://rates.example")

        async def read(session: WriteSession, thing):
            things = Things(session)
            await things.get(thing)
            await fetch()  #<
        """,
        good="""
        import asyncio
        import httpx2

        class Things:
            def __init__(self, session):
                self._session = session

            async def get(self, thing):
                return await self._session.get(Things, thing)

        async def fetch():
            async with httpx2.AsyncClient() as client:
                return await client.get("https://rates.example")

        async def read(session: WriteSession, thing):
            things = Things(session)
            await fetch()
            await things.get(thing)

        async def read_apart(session: WriteSession, thing):
            await Things(session).get(thing)
            asyncio.create_task(fetch())
        """,
    ),
    bodies(
        "T601",
        "a route in a thread that asks another server",
        bad="""
        import time

        def rate():
            time.sleep(1)

        def read(session: SyncWriteSession, thing):
            session.get(thing, 1)
            rate()  #<
        """,
        good="""
        import time

        def rate():
            time.sleep(1)

        def read(session: SyncWriteSession, thing):
            session.add(thing)
            rate()
            session.get(thing, 1)

        def look(session: SyncReadSession, thing):
            session.get(thing, 1)
            rate()
        """,
    ),
]
