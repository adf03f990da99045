"""T501: calls that hold the event loop."""

from __future__ import annotations

from tests.support.checks.plots import Case, Plot, bodies, module

_BLOCKING_HTTP = """
import queue
import redis
import requests
import time
from functools import partial

session = requests.Session()
cache = redis.Redis()
jobs: queue.Queue = queue.Queue()
pause = partial(time.sleep, 1)
"""

_ASYNC_HTTP = """
import asyncio
import httpx2
import redis.asyncio
import requests
from functools import partial

class Session:
    def get(self, path):
        return path

session = Session()
client = httpx2.AsyncClient()
cache = redis.asyncio.Redis()
jobs = asyncio.Queue()
pause = partial(asyncio.sleep, 1)
blocking = requests.Session()
"""

_LOOK_ALIKE = Plot(
    module(
        """
        import asyncio

        from planted_bad import http
        from planted_bad.clients import cache as shared
        from planted_bad.http import blocking, cache, client, jobs, pause, session

        async def read(path):
            await asyncio.to_thread(blocking.get, path)
            await pause()
            await cache.get(path)
            await shared.get(path)
            await jobs.get()
            await http.client.get(path)
            await client.get(path)
            return session.get(path), http.session.get(path)

        def in_a_thread(path):
            return blocking.get(path), http.blocking.get(path)

        async def named_like_its_file(path):
            from planted_bad.same import thing

            return thing(path)

        async def shadowed(blocking: dict, path):
            session = {}
            return blocking.get(path), session.get(path)
        """
    ),
    files={
        "http.py": _ASYNC_HTTP,
        "clients.py": "from .http import cache\n",
        "same/__init__.py": "from .thing import thing\n",
        "same/thing.py": "globals()['thing'] = print\n",
    },
)

LOOP = [
    *(
        Case(
            "T501",
            f"an object that another file made: {called}",
            Plot(
                module(f"{imports}\n\nasync def read(path):\n    return {called}  #<\n"),
                files={"http.py": _BLOCKING_HTTP, "clients.py": "from .http import cache\n"},
            ),
            _LOOK_ALIKE,
        )
        for imports, called in (
            ("from .http import session", "session.get(path)"),
            ("from planted_bad.http import cache as kept", "kept.get(path)"),
            ("from .http import jobs", "jobs.get()"),
            ("from . import http", "http.session.get(path)"),
            ("from .clients import cache", "cache.get(path)"),
            ("import planted_bad.http", "planted_bad.http.pause()"),
        )
    ),
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
    *(
        bodies(
            "T501",
            f"through a name that an import could not bind: {instead}",
            bad=f"""
            try:
                from time import sleep as pause
            except ImportError:
                {instead}

            async def read():
                pause(1)  #<
            """,
            good=f"""
            try:
                from time import sleep as pause
            except ImportError:
                {instead}

            try:
                kept = pause
            except ValueError:
                kept = print

            async def read():
                kept(1)

            def in_a_thread():
                pause(1)
            """,
        )
        for instead in ("pause = None", "from time import monotonic as pause", "def pause(s): ...")
    ),
    *(
        bodies(
            "T501",
            f"by way of another: {call}",
            bad=f"""
            import requests, threading, urllib.request
            from pathlib import Path

            folder = Path("a")
            lock = threading.Lock()

            async def read():
                return {call}  #<
            """,
            good="""
            import asyncio, threading, urllib.request
            from pathlib import Path

            folder = Path("a")
            lock = threading.Lock()
            mine = asyncio.Lock()

            async def read(text):
                await mine.acquire()
                lock.acquire(blocking=False)
                return folder / "b", text / 2, (Path("c").parent / "d").name
            """,
        )
        for call in (
            'requests.api.get("https://rates.example")',
            'urllib.request.build_opener().open("https://rates.example")',
            '(Path("a") / "b").read_text()',
            '(folder / "b" / "c").write_text("d")',
            'Path.cwd().joinpath("b").parent.read_bytes()',
            "lock.acquire()",
        )
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
    *(
        bodies(
            "T502",
            f"a file that a helper opens: {call}",
            bad=f"""
            from pathlib import Path

            def load():
                return {call}

            async def read():
                return load()  #<
            """,
            good=f"""
            import asyncio
            from pathlib import Path

            def load():
                return {call}

            async def read():
                return await asyncio.to_thread(load), Path("x").name
            """,
        )
        for call in ('open("x").name', 'Path("x").read_text()', 'Path("x").write_bytes(b"")')
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
        "a result of a coroutine that the loop would have to run meanwhile",
        bad="""
        import asyncio

        async def fetch():
            return 1

        async def read(loop: asyncio.AbstractEventLoop):
            return asyncio.run_coroutine_threadsafe(fetch(), loop).result()  #<
        """,
        good="""
        import asyncio

        async def fetch():
            return 1

        def in_a_thread(loop: asyncio.AbstractEventLoop):
            return asyncio.run_coroutine_threadsafe(fetch(), loop).result()

        async def read(loop: asyncio.AbstractEventLoop):
            future = asyncio.run_coroutine_threadsafe(fetch(), loop)
            kept = asyncio.create_task(fetch())
            await kept
            await asyncio.to_thread(in_a_thread, loop)
            return await asyncio.wrap_future(future), kept.result(), future.done()
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
