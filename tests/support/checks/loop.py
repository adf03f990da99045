"""T501: calls that hold the event loop."""

from __future__ import annotations

from tests.support.checks.plots import bodies

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
    bodies(
        "T501",
        "with arguments that are given already",
        bad="""
        import time
        from functools import partial

        pause = partial(time.sleep, 1)

        async def read():
            pause()  #<
        """,
        good="""
        import asyncio, time
        from functools import partial

        pause = partial(asyncio.sleep, 1)

        async def read():
            await pause()
            await asyncio.to_thread(partial(time.sleep, 1))
        """,
    ),
    bodies(
        "T501",
        "a result of a thread that is waited for",
        bad="""
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor()

        async def read():
            return pool.submit(print).result()  #<
        """,
        good="""
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor()

        async def read():
            return await asyncio.wrap_future(pool.submit(print))
        """,
    ),
    bodies(
        "T501",
        "a session of SQLModel's own",
        bad="""
        from sqlmodel import Session, create_engine, select

        engine = create_engine("sqlite://")

        async def read():
            with Session(engine) as session:
                return session.exec(select(1))  #<
        """,
        good="""
        from sqlmodel import select

        async def read(session: ReadSession):
            return await session.exec(select(1))
        """,
    ),
]
