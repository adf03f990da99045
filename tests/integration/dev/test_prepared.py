"""The processes that tests start from a prepared interpreter are like those of a new one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import prepared

TELL = """
import json, os, signal, sys

print(json.dumps({
    "words": sys.argv[1:],
    "name": __name__,
    "folder": os.getcwd(),
    "environ": dict(os.environ),
    "path": sys.path,
    "read": sys.stdin.read(),
    "own": sorted(it for it in sys.modules if it.split(".")[0] in {"core", "modules", "tests"}),
    "interrupted": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "open": len(os.listdir("/proc/self/fd")),
}))
print("an error", file=sys.stderr)
sys.exit(7)
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prepared on Linux alone")
Way = Callable[[str], list[str]]


@pytest.fixture(params=["prepared", "new"])
def program(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Way:
    """What makes a command of a program's text, for each way to run it."""
    monkeypatch.setattr(prepared, "can_run", lambda command: request.param == "prepared")

    def command(text: str) -> list[str]:
        file = tmp_path / "program.py"
        file.write_text(text)
        return [sys.executable, str(file)]

    return command


def told(command: list[str], folder: Path) -> dict[str, Any]:
    """What the program says of itself."""
    environ = {"LEFT": "alone", "PYTHONPATH": str(folder / "more")}
    done = prepared.run(
        [*command, "a", "b"], folder=folder, environ=environ, given="12", seconds=60
    )
    assert done.returncode == 7
    assert done.stderr == "an error\n"
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_it_is_the_program_that_was_asked_for(program: Way, tmp_path: Path) -> None:
    """Words, folder, environment, search path, input, output and exit code are those given; none of
    the project's modules has been imported before."""
    said = told(program(TELL), tmp_path)
    assert said["words"] == ["a", "b"]
    assert said["name"] == "__main__"
    assert said["folder"] == str(tmp_path)
    assert {k: v for k, v in said["environ"].items() if k != "LC_CTYPE"} == {
        "LEFT": "alone",
        "PYTHONPATH": str(tmp_path / "more"),
    }
    assert said["path"][1] == str(tmp_path / "more")
    assert said["read"] == "12"
    assert said["own"] == []
    assert said["interrupted"]
    assert said["open"] == 4, "standard ones, and the one that lists them"


def test_signals_and_ends_are_seen(program: Way, tmp_path: Path) -> None:
    """It is there until it is killed, and then its end says by what."""
    with tempfile.TemporaryFile() as output:
        process = prepared.start(
            program("import time; time.sleep(60)"), folder=tmp_path, environ={}, output=output
        )
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
        os.kill(process.pid, 0)
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=10) == process.poll() == -9
        process.kill()  # which is nothing any more


def test_an_exception_ends_it_with_1_and_a_traceback(program: Way, tmp_path: Path) -> None:
    """As of any program."""
    done = prepared.run(
        program("raise OSError('no bank')"), folder=tmp_path, environ={}, seconds=60
    )
    assert done.returncode == 1
    assert done.stderr.endswith("OSError: no bank\n")


def test_what_was_registered_for_the_end_is_run(program: Way, tmp_path: Path) -> None:
    """It leaves as an interpreter does."""
    text = "import atexit; atexit.register(print, 'the end')"
    done = prepared.run(program(text), folder=tmp_path, environ={}, seconds=60)
    assert (done.returncode, done.stdout) == (0, "the end\n")


def test_many_at_once(program: Way, tmp_path: Path) -> None:
    """Each has its own end, in whatever order they come to it."""
    command = program(
        "import sys, time; time.sleep(float(sys.argv[1])); sys.exit(int(sys.argv[2]))"
    )
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        running = [
            prepared.start(
                [*command, str(1 - number / 10), str(number)],
                folder=tmp_path,
                environ={},
                output=output,
            )
            for number in range(8)
        ]
        assert [process.wait(timeout=30) for process in running] == [*range(8)]
    assert time.monotonic() - began < 20
