"""What a module leaves in a process, or takes of it, keeps no process from ending: real ones."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from core.cli.serve import END_SECONDS
from tests.support.plants import Garden, minimal, with_route
from tests.support.processes import Installation

THREAD = """
import threading
import time

def never_ending():
    while True:
        time.sleep(1)

threading.Thread(target=never_ending, daemon=False).start()
"""
IGNORES = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
LEFT = "threads that do not end were left behind: 'Thread-"


def install(garden: Garden, folder: Path, **sources: str) -> Installation:
    """A working folder in which these modules are enabled, and no other."""
    for name, source in sources.items():
        garden.plant(name, source)
    sections: Mapping[str, Any] = {f"modules.{name}": {"enabled": True} for name in sources}
    made = Installation(folder / "home", f"sqlite+aiosqlite:///{folder / 'it.db'}")
    lines = [f"[{name}]\nenabled = true\n" for name in sections]
    database = f'[database]\nurl = "sqlite+aiosqlite:///{folder / "it.db"}"\n'
    (made.folder / "settings.toml").write_text("".join([database, *lines]))
    made.environ["PYTHONPATH"] = str(garden.folder)
    return made


def test_a_thread_that_never_ends_keeps_no_process(garden: Garden, tmp_path: Path) -> None:
    """A server after SIGTERM, and a command, end with their code and name the thread."""
    home = install(garden, tmp_path, bad=with_route("bad") + textwrap.dedent(THREAD))
    listed = home.run("modules", "list", "--json", seconds=60)
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)[0]["state"] == "enabled"
    assert LEFT in listed.stderr
    assert "(never_ending)" in listed.stderr
    assert "planted_bad/module.py" in listed.stderr
    with home.serving() as server:
        assert server.call("GET", "/v1/bad").status_code == 200
    assert LEFT in server.log


@pytest.mark.slow
def test_workers_end_too(garden: Garden, tmp_path: Path) -> None:
    """A server of several workers ends, though a module left a thread in each."""
    home = install(garden, tmp_path, bad=with_route("bad") + textwrap.dedent(THREAD))
    home.environ["TESSERA_APP__SECRET_KEY"] = "0123456789abcdef0123456789abcdef-made-up"
    with home.serving("--workers", "2") as server:
        assert server.call("GET", "/v1/bad").status_code == 200


@pytest.mark.slow
def test_a_lifespan_that_blocks_where_it_ends_keeps_no_server(
    garden: Garden, tmp_path: Path
) -> None:
    """After SIGTERM it is ended in the time that modules have for that, whatever blocks it."""
    blocks = """
    import contextlib, os, time

    @contextlib.asynccontextmanager
    async def life():
        yield
        time.sleep(1e9)

    @hookimpl
    def lifespan(context): return life()
    """
    home = install(garden, tmp_path, bad=with_route("bad") + textwrap.dedent(blocks))
    home.environ["TESSERA_APP__PREFLIGHT"] = "false"  # it would find it
    server = home.start()
    server.wait_ready()
    assert server.stop(seconds=END_SECONDS + 15) == 1


def test_a_module_is_the_same_to_a_server_and_a_command(garden: Garden, tmp_path: Path) -> None:
    """What only the main thread may do fails a module in both, with the same reason."""
    home = install(garden, tmp_path, good=with_route("good"), bad=IGNORES + minimal("bad"))
    with home.serving() as server:
        served = server.call("GET", "/readyz").json()["modules"]["bad"]
    listed = {m["id"]: m for m in json.loads(home.run("modules", "list", "--json").stdout)}
    assert listed["good"]["state"] == "enabled"
    assert listed["bad"]["reason"] == served["reason"]
    assert "signal only works in main thread" in served["reason"]


def test_what_would_end_a_command_is_a_reason(garden: Garden, tmp_path: Path) -> None:
    """KeyboardInterrupt, an error without words and little recursion end no command."""
    odd = "class Odd(Exception):\n    def __str__(self): raise RuntimeError\nraise Odd"
    home = install(
        garden,
        tmp_path,
        good=with_route("good"),
        pressed="raise KeyboardInterrupt",
        odd=odd,
        shallow="import sys\nsys.setrecursionlimit(60)\nimport gone",
    )
    done = home.run("modules", "list", "--json")
    assert done.returncode == 1, done.stderr
    told = {m["id"]: m["reason"] for m in json.loads(done.stdout) if m["state"] == "failed"}
    assert set(told) == {"pressed", "odd", "shallow"}
    assert told["pressed"] == "its import raised KeyboardInterrupt"
    assert "failed: Odd: Odd at" in told["odd"]
    assert "the limit of recursion" in done.stderr + done.stdout


@pytest.mark.parametrize("name", ["db", "events"])
def test_commands_under_a_verb_of_core_are_refused(
    name: str, garden: Garden, tmp_path: Path
) -> None:
    """A module whose commands core's own verb would hide is out, and says so."""
    source = minimal(name, "import typer\n@hookimpl\ndef commands(): return typer.Typer()")
    done = install(garden, tmp_path, **{name: source}).run("modules", "list")
    assert done.returncode == 1
    assert f"its commands would stand under `tessera {name}`, which is taken" in done.stdout


def test_a_hook_that_ignores_sigterm_keeps_no_server(garden: Garden, tmp_path: Path) -> None:
    """A module that ignores SIGTERM in a hook is told of, and the server ends all the same."""
    body = f"@hookimpl\ndef lifespan(context):\n{textwrap.indent(IGNORES, '    ')}"
    home = install(garden, tmp_path, bad=minimal("bad", body))
    with home.serving() as server:
        assert server.process.poll() is None
    assert "the handler of SIGTERM" in server.log
