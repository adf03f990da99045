"""At a first start modules are tried in a copy of the host that holds nothing of it."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import settings_for
from tests.support.plants import Garden, with_route
from tests.support.processes import Installation
from tests.support.tried import by_a_copy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no fork, and no /proc, elsewhere")

CURIOUS = """
import glob, json, os, signal

def name_of(descriptor):
    return os.readlink(descriptor) if os.path.islink(descriptor) else ""

def words(process):
    with open(f"/proc/{{process}}/cmdline") as file:
        return file.read().split(chr(0))

look = {{
    "pid": os.getpid(),
    "words": words("self"),
    "parent": words(os.getppid()),
    "sockets": [it for it in map(name_of, glob.glob("/proc/self/fd/*")) if "socket" in it],
    "ends at SIGTERM": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
}}
with open({0!r}, "a") as file:
    print(json.dumps(look), file=file)
"""
DEADLY_TO_ITS_PARENT = """
import os, signal, time

try:
    os.close(os.open({0!r}, os.O_CREAT | os.O_EXCL))
except FileExistsError:
    pass  # once
else:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1)
"""


def planted(folder: Path, garden: Garden, *modules: str) -> Installation:
    """An installation in which these of a garden's modules live."""
    sections = {f"modules.{name}": {"enabled": True} for name in modules}
    made = Installation(folder, f"sqlite+aiosqlite:///{folder / 'tessera.db'}", **sections)
    made.environ["PYTHONPATH"] = str(garden.folder)
    return made


def looks_of(file: Path) -> list[dict[str, Any]]:
    """What a curious module saw, each time that it was imported."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_first_start_tries_modules_in_a_copy_that_holds_nothing(
    garden: Garden, tmp_path: Path
) -> None:
    """The child is no new interpreter; it has no socket of the host's and none of its handlers."""
    seen = tmp_path / "seen"
    garden.plant("curious", CURIOUS.format(str(seen)) + with_route("curious"))
    with planted(tmp_path, garden, "curious").serving() as server:
        assert server.call("GET", "/v1/curious").status_code == 200
        tried, loaded = looks_of(seen)
        assert loaded["pid"] == server.process.pid != tried["pid"]
        assert tried["parent"] == loaded["words"]
        assert tried["sockets"] == []
        assert tried["ends at SIGTERM"]
        assert loaded["sockets"]
        assert not loaded["ends at SIGTERM"]


def test_a_server_that_serves_tries_modules_in_a_new_process(
    garden: Garden, tmp_path: Path
) -> None:
    """With threads under way no copy would do: what SIGHUP brings is tried by an interpreter."""
    seen = tmp_path / "seen"
    garden.plant("good", with_route("good"))
    garden.plant("curious", CURIOUS.format(str(seen)) + with_route("curious"))
    with planted(tmp_path, garden, "good").serving() as server:
        planted(tmp_path, garden, "good", "curious")
        server.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 60
        while server.call("GET", "/v1/curious").status_code != 200:
            assert time.monotonic() < until, server.log
            time.sleep(0.1)
        assert "core.trials" in looks_of(seen)[0]["parent"]


def test_no_copy_is_made_where_a_module_is_loaded_already(
    garden: Garden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has started there would be missing in the copy: an interpreter tries it anew."""
    seen = tmp_path / "seen"
    package = garden.plant("curious", CURIOUS.format(str(seen)) + with_route("curious"))
    settings = settings_for("sqlite+aiosqlite:///unused.db", "curious")
    monkeypatch.chdir(tmp_path)
    assert by_a_copy(settings, loaded=[f"{package}.module"]) == {}
    assert "core.trials" in looks_of(seen)[1]["parent"]


def test_a_copy_that_is_lost_keeps_nobody_from_starting(garden: Garden, tmp_path: Path) -> None:
    """When the child itself is ended the log says so, and the real start shows what is wrong."""
    source = DEADLY_TO_ITS_PARENT.format(str(tmp_path / "once"))
    garden.plant("grim", source + with_route("grim"))
    with planted(tmp_path, garden, "grim").serving() as server:
        assert server.call("GET", "/v1/grim").status_code == 200
        assert "could not be tried in another process" in server.log
        assert "it ended with -9" in server.log
