"""T601: write sessions that are open too long."""

from __future__ import annotations

from tests.support.checks.plots import bodies, routes

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
    *(
        bodies(
            "T601",
            f"a task that is waited for: {begun}; {waits}",
            bad=f"""
            import asyncio

            async def fetch():
                await asyncio.sleep(1)

            async def read(session: WriteSession, things):
                {begun}
                await session.flush()
                {waits}  #<
            """,
            good=f"""
            import asyncio

            async def fetch():
                await asyncio.sleep(1)

            async def quick():
                return 1

            async def read(session: WriteSession, things):
                {begun}
                {waits}
                await session.flush()

            async def look(session: ReadSession, things):
                {begun}
                await session.flush()
                {waits}

            async def leave(session: WriteSession, things):
                {begun}
                await session.flush()
                task = asyncio.create_task(quick())
                await task
                await asyncio.gather(*[asyncio.create_task(quick()) for it in things])
                task = asyncio.create_task(fetch())
                task.cancel()
                await asyncio.wait([task])
                return asyncio.create_task(fetch())

            async def job(context: Context, things):
                {begun}
                async with context.write() as session:
                    await session.flush()
                {waits}
            """,
        )
        for begun, waits in (
            ("task = asyncio.create_task(fetch())", "return await task"),
            ("task = asyncio.ensure_future(fetch())", "await asyncio.wait_for(task, 5)"),
            ("task = asyncio.create_task(asyncio.sleep(1))", "await asyncio.gather(task)"),
            ("things = [asyncio.create_task(fetch())]", "await asyncio.gather(*things)"),
            (
                "all = asyncio.gather(*(asyncio.create_task(fetch()) for it in things))",
                "async with asyncio.timeout(5): await all",
            ),
            ("task = None", "await asyncio.create_task(fetch())"),
        )
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
    bodies(
        "T601",
        "a session that an object keeps",
        bad="""
        import asyncio

        class Service:
            def __init__(self, session: WriteSession) -> None:
                self.session = session

            async def place(self, thing):
                await self.session.get(Service, thing)
                await asyncio.sleep(1)  #<
        """,
        good="""
        import asyncio

        class Service:
            def __init__(self, session: WriteSession, reader: ReadSession) -> None:
                self.session = session
                self.reader = reader

            async def place(self, thing):
                await self.reader.get(Service, thing)
                self.session.add(thing)
                await asyncio.sleep(1)
                await self.session.get(Service, thing)
        """,
    ),
    *(
        bodies(
            "T601",
            f"another name of the session: {alias}",
            bad=f"""
            import asyncio

            async def read(session: WriteSession, reader: ReadSession, thing):
                {alias} = session
                await s.get(int, thing)
                await asyncio.sleep(1)  #<
            """,
            good=f"""
            import asyncio

            async def read(session: WriteSession, reader: ReadSession, thing):
                {alias} = session
                s.add(thing)
                await asyncio.sleep(1)
                await s.get(int, thing)

            async def look(session: WriteSession, reader: ReadSession, thing):
                {alias} = session
                s = reader
                await s.get(int, thing)
                await asyncio.sleep(1)
            """,
        )
        for alias in ("s", "s: WritableSession", "kept = s")
    ),
    bodies(
        "T601",
        "a service with a session, by Depends",
        bad="""
        import asyncio
        from typing import Annotated
        from fastapi import Depends

        class Service:
            def __init__(self, session: WriteSession) -> None:
                self.session = session

            async def place(self, thing):
                await self.session.get(Service, thing)

        def made(session: WriteSession) -> Service:
            return Service(session)

        async def place(service: Annotated[Service, Depends(made)], thing):
            await service.place(thing)
            await asyncio.sleep(1)  #<
        """,
        good="""
        import asyncio
        from typing import Annotated
        from fastapi import Depends

        class Service:
            def __init__(self, session: WriteSession) -> None:
                self.session = session

            def price(self, thing):
                return 1

            async def place(self, thing):
                await self.session.get(Service, thing)

        def made(session: WriteSession) -> Service:
            return Service(session)

        async def place(service: Annotated[Service, Depends(made)], thing):
            service.price(thing)
            await asyncio.sleep(1)
            await service.place(thing)
        """,
    ),
    *(
        routes(
            "T601",
            f"a transaction that a dependency began: {parameter}",
            bad=f"""
            @router.get("/place")
            async def place({parameter}) -> str:
                await asyncio.sleep(1)  #<
                return ""
            """,
            good=f"""
            @router.get("/place")
            async def place(session: WriteSession, {parameter.replace("known", "read")}) -> str:
                await asyncio.sleep(1)
                await session.scalar("1")
                return ""

            @router.get("/note")
            async def note(name: Annotated[str, Depends(noted)]) -> str:
                await asyncio.sleep(1)
                return ""
            """,
            head="""
            import asyncio
            from typing import Annotated
            from fastapi import Depends

            async def known(session: WriteSession, name: str = "") -> str:
                return (await session.scalar(name)) or name

            async def read(session: ReadSession, name: str = "") -> str:
                return (await session.scalar(name)) or name

            async def noted(session: WriteSession, name: str = "") -> str:
                session.add(name)
                return name

            async def greeted_known(name: Annotated[str, Depends(known)]) -> str:
                return name

            async def greeted_read(name: Annotated[str, Depends(read)]) -> str:
                return name
            """,
        )
        for parameter in (
            "name: Annotated[str, Depends(known)]",
            "name: Annotated[str, Depends(greeted_known)]",
            "name=Depends(known)",
        )
    ),
]
