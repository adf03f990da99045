"""T502: helpers that hold the event loop."""

from __future__ import annotations

from tests.support.checks.plots import Case, Plot, bodies, module

INHERITED = """
import time

class Thing(table_base("bad"), table=True):
    __tablename__ = "bad_things"
    id: int | None = BigId()

class Kept(Thing, table=True):
    __tablename__ = "bad_kept"

    @property
    def slow(self):
        time.sleep(1)

    @property
    def quick(self):
        return self.id

async def read(row: Kept):
"""

HELPERS = [
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
        "T502",
        "a helper in a decorator that wraps it",
        bad="""
        import time
        from functools import wraps

        def logged(function):
            @wraps(function)
            def wrapper(*given):
                return function(*given)

            return wrapper

        @logged
        def rate():
            time.sleep(1)

        async def read():
            return rate()  #<
        """,
        good="""
        import asyncio, time
        from functools import wraps

        def threaded(function):
            @wraps(function)
            async def wrapper(*given):
                return await asyncio.to_thread(function, *given)

            return wrapper

        @threaded
        def rate():
            time.sleep(1)

        async def read():
            return await rate()
        """,
    ),
    bodies(
        "T502",
        "a decorator with arguments that waits itself",
        bad="""
        import time
        from functools import wraps

        def patient(seconds):
            def decorate(function):
                @wraps(function)
                def wrapper(*given):
                    time.sleep(seconds)
                    return function(*given)

                return wrapper

            return decorate

        @patient(1)
        def rate():
            return 1

        async def read():
            return rate()  #<
        """,
        good="""
        import time
        from functools import wraps

        def measured(name):
            def decorate(function):
                @wraps(function)
                def wrapper(*given):
                    began = time.monotonic()
                    return function(*given), name, began

                return wrapper

            return decorate

        @measured("rate")
        def rate():
            return 1

        async def read():
            return rate()
        """,
    ),
    bodies(
        "T502",
        "a property",
        bad="""
        import time

        class Rates:
            @property
            def now(self):
                time.sleep(1)

        async def read(rates: Rates):
            return rates.now  #<
        """,
        good="""
        import asyncio, time

        class Rates:
            @property
            def now(self):
                return time.time()

            def wait(self):
                time.sleep(1)

        async def read(rates: Rates):
            await asyncio.to_thread(rates.wait)
            return rates.now
        """,
    ),
    bodies(
        "T502",
        "a lock that is entered, made by a function",
        bad="""
        import time

        class Lock:
            def __enter__(self):
                time.sleep(1)

            def __exit__(self, *error):
                return None

        def lock() -> Lock:
            return Lock()

        async def read():
            with lock():  #<
                return 1
        """,
        good="""
        import time

        class Lock:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                return None

            def wait(self):
                time.sleep(1)

        def lock() -> Lock:
            return Lock()

        async def read():
            with lock():
                return 1
        """,
    ),
    bodies(
        "T502",
        "what a class inherits, and what it is made with",
        bad="""
        import time

        class Base:
            def __init__(self):
                time.sleep(1)

        class Rates(Base):
            def __init__(self):
                super().__init__()

        async def read():
            return Rates()  #<
        """,
        good="""
        import time

        class Base:
            def __init__(self):
                self.began = time.time()

            def wait(self):
                time.sleep(1)

        class Rates(Base):
            def __init__(self):
                super().__init__()

        async def read():
            return Rates()
        """,
    ),
    *(
        bodies(
            "T502",
            f"a helper that another function calls: {call}",
            bad=f"""
            import functools
            import time

            def rate(*given):
                time.sleep(1)

            async def read(things):
                return {call}  #<
            """,
            good=f"""
            import asyncio
            import functools
            import time

            def rate(*given):
                time.sleep(1)

            def sort(things):
                return {call}

            async def read(things):
                await asyncio.to_thread(list, map(rate, things))
                await asyncio.to_thread(sort, things)
                return functools.partial(sort, things), sorted(things, key=len), map(rate, things)
            """,
        )
        for call in (
            "list(map(rate, things))",
            "[it for it in filter(rate, things)]",
            "sorted(things, key=rate)",
            "min(things, key=lambda it: rate(it))",
            "things.sort(key=rate)",
            "functools.reduce(rate, things)",
        )
    ),
    bodies(
        "T502",
        "an object that a dependency makes",
        bad="""
        import time
        from fastapi import Depends

        class Rates:
            def get(self):
                time.sleep(1)

        def rates() -> Rates:
            return Rates()

        async def read(given=Depends(rates)):
            return given.get()  #<
        """,
        good="""
        import time
        from fastapi import Depends

        class Rates:
            def get(self):
                time.sleep(1)

        def rates() -> Rates:
            return Rates()

        def read(given=Depends(rates)):
            return given.get()

        async def look(given=Depends(rates)):
            return given.get
        """,
    ),
    Case(
        "T502",
        "a column that a table class inherits, and a property beside it",
        Plot(
            module(INHERITED + "    return row.id, row.slow  #<\n"),
            settings={"check": {"silence": ["T401"]}},
        ),
        Plot(
            module(INHERITED + "    return row.id, row.quick\n"),
            settings={"check": {"silence": ["T401"]}},
        ),
    ),
]
