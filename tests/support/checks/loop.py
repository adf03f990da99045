"""T501 and T502: what holds the event loop."""

from __future__ import annotations

from tests.support.checks.plots import Case, Plot, bodies, module

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
]
