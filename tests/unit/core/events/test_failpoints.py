"""Failpoints end a process where a test says, and only there."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.events.failpoints import NAMES, VARIABLE, arm

CORE = Path(__file__).resolve().parents[4] / "core"
PASSES = """
import os
from core.events.failpoints import arm, failpoint
arm(os.environ)
for _ in range(3):
    failpoint("send.before")
    print("sent", flush=True)
    failpoint("send.after")
"""


def passed(said: str) -> tuple[int, int]:
    """The exit code of a process that passes two failpoints thrice, and how far it came."""
    done = subprocess.run(
        [sys.executable, "-c", PASSES],
        env={VARIABLE: said, "PYTHONPATH": str(CORE.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout.count("sent")


@pytest.mark.parametrize(
    ("said", "code", "sent"),
    [
        ("", 0, 3),
        ("send.before:1", -signal.SIGKILL, 0),
        ("send.after:2", -signal.SIGKILL, 2),
        ("mark.after:1", 0, 3),
        ("send.before:4", 0, 3),
    ],
)
def test_the_nth_time_is_the_last(said: str, code: int, sent: int) -> None:
    """The process is killed as it comes to the named place for the nth time; never elsewhere."""
    assert passed(said) == (code, sent)


@pytest.mark.parametrize("said", ["send:1", "send.before:1:maim", "send.before:soon"])
def test_nonsense_is_refused(said: str) -> None:
    """A name that there is not, or an unknown way to end, is an error: no test passes for it."""
    with pytest.raises(ValueError, match=re.compile("no such failpoint|invalid literal")):
        arm({VARIABLE: said})


def test_every_name_is_a_place() -> None:
    """Each name stands somewhere in core, and nothing else is passed as one."""
    sources = (path.read_text() for path in CORE.rglob("*.py"))
    found = {name for text in sources for name in re.findall(r'failpoint\("([^"]+)"\)', text)}
    assert found == set(NAMES)
