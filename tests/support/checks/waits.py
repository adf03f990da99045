"""T501: locks, sockets, and what a lambda or a dependency stands for."""

from __future__ import annotations

from tests.support.checks.plots import bodies

WAITS = [
    *(
        bodies(
            "T501",
            f"a lock that is waited for: {call}",
            bad=f"""
            import threading

            lock = threading.Lock()

            async def read(wait):
                return {call}  #<
            """,
            good="""
            import threading

            lock = threading.Lock()

            async def read(wait, given):
                lock.acquire(False)
                lock.acquire(blocking=wait)
                lock.acquire(timeout=0)
                lock.acquire(*given)
                return lock.acquire(True, 0)
            """,
        )
        for call in ("lock.acquire(timeout=5)", "lock.acquire(True)", "lock.acquire(True, 5)")
    ),
    *(
        bodies(
            "T501",
            f"a socket: {call}",
            bad=f"""
            import socket

            async def read(path, server: socket.socket):
                with socket.socket() as connection:
                    return {call}  #<
            """,
            good=f"""
            import asyncio, socket

            async def read(path, server: socket.socket):
                connection = socket.socket()
                connection.setblocking(False)
                await asyncio.get_running_loop().sock_recv(connection, 9)
                return {call}
            """,
        )
        for call in ("connection.connect(path)", "connection.recv(9)", "server.accept()")
    ),
    *(
        bodies(
            "T501",
            f"an archive: {call}",
            bad=f"""
            import tarfile
            from zipfile import ZipFile

            async def read(path, given: ZipFile):
                with ZipFile(path) as archive, tarfile.open(path) as tape:
                    return {call}  #<
            """,
            good=f"""
            import asyncio, tarfile
            from zipfile import ZipFile

            class Archive:
                def extractall(self, path):
                    return path

            def unpack(path, given: ZipFile):
                with ZipFile(path) as archive, tarfile.open(path) as tape:
                    return {call}

            async def read(path, given: ZipFile):
                await asyncio.to_thread(unpack, path, given)
                await asyncio.to_thread(given.extractall, path)
                return given.namelist(), Archive().extractall(path)
            """,
        )
        for call in (
            "ZipFile(path).extractall(path)",
            "archive.extractall(path)",
            "given.extract(path)",
            "given.write(path)",
            "tape.extractall(path)",
            "tape.add(path)",
            "tarfile.TarFile.open(path).extract(path)",
        )
    ),
    bodies(
        "T501",
        "a lambda under a name",
        bad="""
        import time

        pause = lambda: time.sleep(1)

        async def read():
            pause()  #<
        """,
        good="""
        import asyncio, time

        pause = lambda: time.sleep(1)
        clock = lambda time: time.sleep(1)

        async def read(given):
            clock(given)
            await asyncio.to_thread(pause)
            await asyncio.to_thread(lambda: time.sleep(1))
        """,
    ),
    bodies(
        "T501",
        "an object that a dependency makes",
        bad="""
        import requests
        from fastapi import Depends

        def client():
            return requests.Session()

        async def read(path, http=Depends(client)):
            return http.get(path)  #<
        """,
        good="""
        import requests
        from fastapi import Depends

        def client():
            return requests.Session()

        def kept():
            return {}

        def read(path, http=Depends(client)):
            return http.get(path)

        async def look(path, http=Depends(kept)):
            return http.get(path)
        """,
    ),
]
