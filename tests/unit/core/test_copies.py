"""A copy of a process does its work, or its original is told that it did not."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="made on Linux alone")


def said(body: str) -> list[str]:
    """What a process of one thread prints that makes copies of itself."""
    begin = "import os, sys, tempfile, threading, time\nfrom core import copies\n"
    begin += "kept = tempfile.TemporaryFile()\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + textwrap.dedent(body)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_its_work_is_seen_in_the_file_that_it_keeps() -> None:
    """The copy has the original's objects, and one file in common with it."""
    body = """
    word = "done"
    copies.run(lambda: os.write(kept.fileno(), word.encode()), keeping=kept.fileno(), seconds=20)
    kept.seek(0)
    print(kept.read().decode())
    """
    assert said(body) == ["done"]


def test_one_that_raises_is_told_of() -> None:
    """The original gets ChildProcessError, and goes on."""
    body = """
    def work():
        raise OSError("no bank")

    try:
        copies.run(work, keeping=kept.fileno(), seconds=20)
    except ChildProcessError as error:
        print(error)
    """
    assert said(body) == ["it ended with 1"]


def test_one_that_takes_too_long_is_ended() -> None:
    """After its time it is killed, and the original gets TimeoutError."""
    body = """
    def work():
        os.write(kept.fileno(), str(os.getpid()).encode())
        time.sleep(60)

    try:
        copies.run(work, keeping=kept.fileno(), seconds=0.5)
    except TimeoutError as error:
        print(error)
    kept.seek(0)
    print(os.path.exists(f"/proc/{int(kept.read())}"))
    """
    assert said(body) == ["it took more than 0.5 s", "False"]


def test_no_copy_is_made_of_a_process_with_threads() -> None:
    """A lock that another thread holds would stay held in the copy for ever."""
    body = """
    print(copies.can_be_made())
    thread = threading.Thread(target=time.sleep, args=(1,))
    thread.start()
    print(copies.can_be_made())
    """
    assert said(body) == ["True", "False"]


def test_what_is_printed_is_printed_once() -> None:
    """What waits to be written when the copy is made is the original's alone."""
    body = """
    sys.stdout.write("waits ")
    copies.run(lambda: sys.stdout.flush(), keeping=kept.fileno(), seconds=20)
    print("once")
    """
    assert said(body) == ["waits once"]
