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
    begin = "import _thread, os, signal, sys, tempfile, threading, time\nfrom core import copies\n"
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
    work = lambda: os.write(kept.fileno(), word.encode())
    copies.Copy(work, keeping=kept.fileno()).wait(seconds=20)
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
        copies.Copy(work, keeping=kept.fileno()).wait(seconds=20)
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
        copies.Copy(work, keeping=kept.fileno()).wait(seconds=0.5)
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
    _thread.start_new_thread(time.sleep, (1,))  # of which `threading` does not know
    print(threading.active_count(), copies.can_be_made())
    """
    assert said(body) == ["True", "1 False"]


def test_what_is_printed_is_printed_once() -> None:
    """What waits to be written when the copy is made is the original's alone."""
    body = """
    sys.stdout.write("waits ")
    copies.Copy(sys.stdout.flush, keeping=kept.fileno()).wait(seconds=20)
    print("once")
    """
    assert said(body) == ["waits once"]


def test_a_process_without_output_has_copies() -> None:
    """A service that was started with its standard output closed has no stream there."""
    body = """
    output, sys.stdout = sys.stdout, None
    copies.Copy(lambda: None, keeping=kept.fileno()).wait(seconds=20)
    print("done", file=output)
    """
    assert said(body) == ["done"]


def test_it_minds_the_signals_that_a_new_program_would() -> None:
    """What the original ignores (nohup) it ignores too; for the rest it has no handlers of its."""
    body = """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, print)
    signal.signal(signal.SIGINT, print)

    def work():
        found = [signal.getsignal(it) for it in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)]
        meant = [signal.SIG_IGN, signal.SIG_DFL, signal.default_int_handler]
        os.write(kept.fileno(), repr(found == meant).encode())

    copies.Copy(work, keeping=kept.fileno()).wait(seconds=20)
    kept.seek(0)
    print(kept.read().decode())
    """
    assert said(body) == ["True"]
