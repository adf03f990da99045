"""A socket that whoever started the server has opened for it, and a process that begins anew."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from tests.support.processes import ROOT

TAKES = """
from core.cli.serve import bind
print(bind("127.0.0.1", 0).getsockname()[1])
"""
AGAIN = """
import os, sys
from core import restart
from core.cli.serve import bind

bound = bind("127.0.0.1", 0)
restart.keep(bound)
print(os.getpid(), bound.getsockname()[1], *sys.argv[1:], os.environ["ROUND"], flush=True)
if os.environ["ROUND"] == "1":
    os.environ["ROUND"] = "2"
    restart.again()
"""


def test_a_socket_of_systemd_is_taken_over() -> None:
    """With LISTEN_PID and LISTEN_FDS the server listens on descriptor 3 and binds nothing."""
    with socket.create_server(("127.0.0.1", 0)) as mine:
        script = f'exec 3<&{mine.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        assert run("bash", "-c", script, "it", sys.executable, "-c", TAKES, keep=mine.fileno()) == [
            str(mine.getsockname()[1])
        ]


def test_variables_that_were_meant_for_another_process_are_not() -> None:
    """A LISTEN_PID that is not this process's leaves the server to bind by itself."""
    [port] = run("env", "LISTEN_PID=1", "LISTEN_FDS=1", sys.executable, "-c", TAKES)
    assert int(port) > 0


def test_beginning_anew_keeps_what_a_caller_knows() -> None:
    """Process id, port and arguments are the same in the program that takes the place."""
    first, second = run(sys.executable, "-c", AGAIN, "one", "two")
    assert first.split()[:-1] == second.split()[:-1]
    assert (first.split()[-1], second.split()[-1]) == ("1", "2")


def run(*command: str, keep: int | None = None) -> list[str]:
    """The lines that a program prints."""
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ROUND": "1"},
        pass_fds=[] if keep is None else [keep],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()
