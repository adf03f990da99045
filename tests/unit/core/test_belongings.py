"""What all modules share of the process comes back after a module took it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.belongings import kept
from tests.support.processes import ROOT

IGNORE = "import signal; signal.signal(signal.{0}, signal.SIG_IGN)"
MUTE = "structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))"
TAKEN: dict[str, tuple[str, str]] = {
    "standard output": ("sys.stdout.close()", "stdout"),
    "standard error": ("sys.stderr = None", "stderr"),
    "its descriptor": ("os.close(2)", "stderr"),
    "the log": ("logging.disable(logging.CRITICAL)", "logging.disable()"),
    "the level": ("logging.getLogger().setLevel(60)", "the log's level"),
    "the handlers": ("logging.getLogger().handlers.clear()", "the log's handlers"),
    "structlog": (f"import structlog; {MUTE}", "structlog.configure()"),
    "the loggers": (
        "import logging.config; logging.config.dictConfig({'version': 1})",
        "disabling its loggers",
    ),
    "the alarm": ("signal.alarm(1)", "signal.alarm()"),
    "the path": ("sys.path.clear()", "entries of sys.path"),
    "a part of the path": ("del sys.path[1]", "entries of sys.path"),
    "the folder": ("os.chdir('/')", "the working folder"),
    "recursion": ("sys.setrecursionlimit(60)", "the limit of recursion"),
    "tracing": ("sys.settrace(lambda *_: None)", "sys.settrace()"),
    "profiling": ("sys.setprofile(lambda *_: None)", "sys.setprofile()"),
    "collecting": ("import gc; gc.disable()", "gc.disable()"),
    "SIGTERM": (IGNORE.format("SIGTERM"), "the handler of SIGTERM"),
    "warnings": ("import warnings; warnings.simplefilter('error')", "which became errors"),
    "the last word": ("sys.excepthook = None", "sys.excepthook"),
    "SIGINT": (IGNORE.format("SIGINT"), "the handler of SIGINT"),
}
PROGRAM = """
import logging, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell ignores it in what it starts with &
from core.belongings import kept

logging.basicConfig(level="INFO")
host, path = logging.getLogger("host"), list(sys.path)
with kept("bad"):
    {code}
print("out", os.getcwd(), flush=True)
print("err", file=sys.stderr, flush=True)
logging.info("log")
import gc, signal, warnings
warnings.warn("a word", UserWarning)
assert callable(sys.excepthook)
assert not host.disabled
assert sys.path == path
assert signal.alarm(0) == 0
assert sys.getrecursionlimit() >= 1000
assert gc.isenabled()
assert sys.gettrace() is None and sys.getprofile() is None
assert signal.SIG_IGN not in map(signal.getsignal, (signal.SIGTERM, signal.SIGINT))
"""
OWN = """
import signal, sys
from core.belongings import kept

signal.alarm(50)
with kept("good"):
    {code}
print(sys.path[0])
assert 40 < signal.alarm(0) <= 50
"""
CONFIGURED = """
import structlog
def mark(_, __, event):
    return {**event, "host": "mine"}
structlog.configure(processors=[mark, structlog.processors.JSONRenderer()])
"""


@pytest.mark.parametrize("what", TAKEN)
def test_what_is_taken_comes_back(what: str, tmp_path: Path) -> None:
    """Streams, log and folder work on, and it is said which module took what."""
    code, told = TAKEN[what]
    done = run(PROGRAM.format(code=code), tmp_path)
    assert f"out {tmp_path}" in done.stdout
    assert "err" in done.stderr.split("\n")
    assert "INFO:root:log" in done.stderr
    said = done.stdout + done.stderr
    assert told in said
    assert "module=bad" in said


def test_a_configured_log_comes_back_as_it_was(tmp_path: Path) -> None:
    """After a module's `structlog.configure` lines look as the host has said, not as by default."""
    done = run(CONFIGURED + PROGRAM.format(code=TAKEN["structlog"][0]), tmp_path)
    assert '"host": "mine"' in done.stdout
    assert '"module": "bad"' in done.stdout


def test_an_alarm_and_entries_that_were_there_stay(tmp_path: Path) -> None:
    """Nothing is said of the host's own alarm, nor of what a module adds to `sys.path`."""
    done = run(OWN.format(code="sys.path.insert(0, '/added')"), tmp_path)
    assert done.stdout.split() == ["/added"]


@pytest.mark.parametrize("seconds", [0, 5, 900])
def test_an_alarm_of_the_host_rings_when_it_was_to_ring(tmp_path: Path, seconds: int) -> None:
    """A module that stops or moves the host's alarm has not moved it."""
    done = run(OWN.format(code=f"signal.alarm({seconds})"), tmp_path)
    assert "signal.alarm()" in done.stdout


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A Python program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_what_works_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A module that puts a working stream in place of another means it, and nothing is said."""

    class Wrapped:
        closed = False

        def __init__(self, write: Callable[[str], int]) -> None:
            self.write = write

    mine, before = Wrapped(sys.stdout.write), sys.stdout
    with kept("good"):
        sys.stdout = mine  # type: ignore[assignment]
    now, sys.stdout = sys.stdout, before
    assert now is mine
    assert logging.root.manager.disable == 0
    assert "put back" not in capsys.readouterr().out
