"""Processes of the program that start in half the processor time: the libraries are there already.

Of a start's two seconds more than one goes into the imports of what others have written. So one
interpreter a test process has done them (`prepared_main`), and each program is a fork of it: a
process of its own that reads its settings, imports the project's code and is killed like any other.
What measures and the long runs take new interpreters (dev/test says ``TESSERA_TEST_PREPARED=no``),
as do `make run` and the tests of wheels: who forgets an import that another library does sees it
there alone.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Protocol

ROOT = Path(__file__).resolve().parents[2]
MAIN = Path(__file__).with_name("prepared_main.py")
PROGRAM = (sys.executable, str(ROOT / "main.py"))
"""The words that a command of ours begins with."""


class Process(Protocol):
    """What a test does with a process, be it `subprocess.Popen` or a `Fork`."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...


class Fork:
    """A process that the prepared interpreter has made, as `subprocess.Popen` has it."""

    def __init__(self, words: Sequence[str], pid: int, end: int) -> None:
        """`end` is a descriptor on which its exit code is told."""
        self.args = words
        self.pid = pid
        self.returncode: int | None = None
        self._end = end

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._end)

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code once it has ended. Raises subprocess.TimeoutExpired."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, sig: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        self.send_signal(signal.SIGKILL)

    def _look(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._end], [], [], seconds)[0]:
            told = os.read(self._end, 16)
            assert told, "the prepared interpreter has ended"
            self.returncode = int(told)
        return self.returncode


class Interpreter:
    """A running `prepared_main`; it ends with this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        kept = {name: it for name, it in os.environ.items() if name != "PYTHONPATH"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(MAIN), str(theirs.fileno()), str(ROOT)],
                env=kept,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def close(self) -> None:
        """Let it end."""
        self._requests.close()
        self._process.wait(timeout=10)

    def start(
        self,
        words: Sequence[str],
        *,
        folder: Path,
        environ: Mapping[str, str],
        standard: tuple[int, int, int],
    ) -> Fork:
        """The program `words` in a folder; `standard` are its input, output and errors."""
        reading, writing = os.pipe()
        wanted = {"words": [*words], "folder": str(folder), "environ": dict(environ)}
        with self._lock:
            socket.send_fds(self._requests, [json.dumps(wanted).encode()], [writing, *standard])
            os.close(writing)
            return Fork(words, int(self._requests.recv(32)), reading)


@cache
def interpreter() -> Interpreter:
    """The one of this process."""
    made = Interpreter()
    atexit.register(made.close)
    return made


def can_run(command: Sequence[str]) -> bool:
    """Whether a command is one for the prepared interpreter, and this run wants it."""
    wanted = os.environ.get("TESSERA_TEST_PREPARED") == "yes"
    return wanted and tuple(command[:2]) == PROGRAM and hasattr(os, "pidfd_open")


def start(
    command: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    output: IO[bytes],
    errors: IO[bytes] | None = None,
    given: IO[bytes] | None = None,
    new: bool = False,
) -> Process:
    """Start a program; without `errors` they go where its output goes, without `given` it reads
    nothing. `new`: by an interpreter of its own, in any case."""
    with open(os.devnull, "rb") as nothing:
        given, errors = given or nothing, errors or output
        if new or not can_run(command):
            return subprocess.Popen(
                command, cwd=folder, env=environ, stdin=given, stdout=output, stderr=errors
            )
        standard = (given.fileno(), output.fileno(), errors.fileno())
        return interpreter().start(command[1:], folder=folder, environ=environ, standard=standard)


def run(
    command: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    given: str = "",
    seconds: float,
    new: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. Raises subprocess.TimeoutExpired when it takes longer."""
    with (
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        stdin.write(given.encode())
        stdin.seek(0)
        process = start(
            command,
            folder=folder,
            environ=environ,
            output=output,
            errors=errors,
            given=stdin,
            new=new,
        )
        try:
            code = process.wait(timeout=seconds)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        said = []
        for file in (output, errors):
            file.seek(0)
            said.append(file.read().decode())
        return subprocess.CompletedProcess(command, code, *said)
