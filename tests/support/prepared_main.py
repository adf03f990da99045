"""What `tests.support.prepared` runs: an interpreter that has imported what others have written.

For each request it forks; the fork is the program that was asked for. The program's own code is
imported there, from its own search path, as if by a new interpreter.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from typing import Any

MESSAGE_BYTES = 1 << 20
LAZILY = (
    *("aiokafka", "aiosqlite", "argon2", "asyncpg", "jwt", "redis.asyncio", "uvloop", "httptools"),
    *("sqlalchemy.dialects.sqlite.aiosqlite", "sqlalchemy.dialects.postgresql.asyncpg"),
    *("uvicorn.lifespan.on", "uvicorn.loops.auto", "uvicorn.protocols.http.auto"),
)
"""What is imported by the way, by settings and by names in strings."""


def main() -> None:
    """Answer requests on the socket that descriptor `argv[1]` is, until its other end is closed."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    root = sys.argv[2]
    del sys.path[0]  # this folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for those who work
    prepare(root)
    if (wanted := serve(requests)) is not None:
        become(wanted, root)


def prepare(root: str) -> None:
    """Import what the program imports and is not its own."""
    for name in [*imported_by_a_scout(root), *LAZILY]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()  # a collection in a fork would copy what is shared


def imported_by_a_scout(root: str) -> list[str]:
    """The modules that a fork has imported which has imported the program."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            sys.path.insert(0, root)
            importlib.import_module("core.app")
            importlib.import_module("core.cli.root")
            importlib.import_module("core.cli.serve")
            importlib.import_module("uvicorn")
            names = [name for name, it in sys.modules.items() if not is_own(it, root)]
            with os.fdopen(writing, "w") as told:
                json.dump(names, told)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        names = json.load(told)
    os.waitpid(child, 0)
    return [name for name in names if name != "__main__"]


def is_own(module: Any, root: str) -> bool:
    """Whether it lies in the project's folder, and not in an environment there."""
    place = getattr(module, "__file__", None) or ""
    return place.startswith(root + os.sep) and "site-packages" not in place


def serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork for each request and tell of each end; a request in its fork, None at the end."""
    ends: dict[int, tuple[int, int]] = {}  # by descriptor: the process, and where its end is told
    while True:
        for ready in select.select([requests, *ends], [], [])[0]:
            if ready is not requests:
                child, told = ends.pop(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                with contextlib.suppress(BrokenPipeError):  # nobody waits
                    os.write(told, str(code).encode())
                os.close(told)
                os.close(ready)
                continue
            data, descriptors, _, _ = socket.recv_fds(requests, MESSAGE_BYTES, 4)
            if not data:
                return None
            told, *standard = descriptors
            child = os.fork()
            if not child:
                for end, (_, other) in ends.items():
                    os.close(end)
                    os.close(other)
                requests.close()
                os.close(told)
                wanted: dict[str, Any] = json.loads(data)
                return wanted | {"standard": standard}
            for descriptor in standard:
                os.close(descriptor)
            ends[os.pidfd_open(child)] = (child, told)
            requests.send(str(child).encode())


def become(wanted: dict[str, Any], root: str) -> None:
    """Be that program in this process: its folder, environment, arguments and search path."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(wanted["standard"]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ |= wanted["environ"]
    sys.argv = wanted["words"]
    sys.orig_argv = [sys.executable, *sys.argv]
    sys.path[:0] = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
