"""`tessera modules`: real processes that are asked about real plants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import prepared
from tests.support.plants import Garden, minimal, with_route
from tests.support.prepared import PROGRAM

ROOT = Path(__file__).parents[3]
FAILING_MIGRATION = """
revision = "0001"
down_revision = None


def upgrade() -> None:
    raise RuntimeError("disk full")
"""

MISSET = """
from pydantic import BaseModel, ConfigDict, model_validator

class MissetSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def even(self):
        raise ValueError("odd")

@hookimpl
def settings(): return MissetSettings
"""


@pytest.fixture
def tessera(garden: Garden, tmp_path: Path) -> Any:
    """Runs ``python main.py …`` in a folder of its own, with the planted modules installed."""
    names = ("good", "bad", "deadly", "halfway", "misset", "needy")
    garden.plant("good", with_route("good"))
    garden.plant("bad", "raise RuntimeError('no luck')")
    garden.plant("deadly", "import os; os._exit(4)")
    garden.plant(
        "halfway",
        minimal("halfway", "@hookimpl\ndef migrations(): return 'planted_halfway:migrations'"),
    )
    garden.file("planted_halfway", "migrations/0001_no.py", FAILING_MIGRATION)
    garden.plant("needy", minimal("needy", manifest="requires=('bad',)"))
    garden.plant("idle", with_route("idle"))
    garden.plant("misset", minimal("misset", MISSET))
    (tmp_path / "settings.toml").write_text(
        "".join(f"[modules.{name}]\nenabled = true\n" for name in names)
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TESSERA_")}
    environment["PYTHONPATH"] = str(garden.folder)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return prepared.run([*PROGRAM, *words], folder=tmp_path, environ=environment, seconds=100)

    return run


def test_list_and_info_tell_each_fault_with_reason_and_remedy(tessera: Any) -> None:
    """Every fault shows in `list` and `info` with what to do; one that exits harms neither."""
    started = tessera("users", "--help")  # no module `users` here: only shows that nothing dies
    assert started.returncode == 2
    listed = tessera("modules", "list", "--json")
    assert listed.returncode == 1, listed.stderr
    modules = {m["id"]: m for m in json.loads(listed.stdout)}
    assert modules["good"]["state"] == "enabled"
    assert modules["idle"]["state"] == "disabled"
    reasons = {name: m["reason"] for name, m in modules.items() if m["state"] == "failed"}
    assert set(reasons) == {"bad", "deadly", "misset", "needy"}
    assert "RuntimeError: no luck" in reasons["bad"]
    assert reasons["deadly"] == "its import ended the whole process (exit code 4)"
    assert "requires 'bad', which failed" in reasons["needy"]
    assert all(modules[name]["remedy"] for name in reasons)

    info = tessera("modules", "info", "deadly")
    assert info.returncode == 1
    assert "exit code 4" in info.stdout
    assert "mend deadly, or disable it" in info.stdout


def test_what_a_module_prints_is_in_no_answer(tessera: Any, garden: Garden, tmp_path: Path) -> None:
    """What a module prints at its import and in its hooks is on standard error, and in no JSON."""
    chatty = minimal(
        "chatty", "print('hello')\n@hookimpl\ndef tables():\n    print('me')\n    return []"
    )
    garden.plant("chatty", chatty)
    (tmp_path / "settings.toml").write_text("[modules.chatty]\nenabled = true\n")
    for words in (("modules", "list"), ("modules", "info", "chatty"), ("check",)):
        done = tessera(*words, "--json")
        assert json.loads(done.stdout) is not None, done.stdout
        assert "hello" in done.stderr
    assert json.loads(tessera("openapi", "export", "v1").stdout)["openapi"]


def test_a_pipe_gets_one_line_for_each_module(tessera: Any) -> None:
    """Where no terminal cuts it, a row is one line with its whole reason and remedy."""
    listed = tessera("modules", "list").stdout.splitlines()
    rows = {line.split()[0]: line for line in listed}
    assert set(rows) >= {"module", "good", "bad", "deadly", "halfway", "needy", "idle"}
    assert len(rows) == len(listed)
    assert rows["deadly"].endswith(
        "its import ended the whole process (exit code 4); mend deadly, or disable it"
    )
    assert rows["misset"].endswith("modules.misset: odd; mend [modules.misset]")
    assert [line for line in listed if line != line.rstrip()] == []


def test_a_failed_start_is_remembered(tessera: Any, tmp_path: Path) -> None:
    """A migration that failed when the server started is in `modules list` afterwards."""
    script = (
        "import asyncio; from core.app import create_app\n"
        "async def main():\n"
        "    app = create_app(); await app.start(); await app.stop()\n"
        "asyncio.run(main())\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TESSERA_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(tmp_path / "garden")])
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)
    listed = json.loads(tessera("modules", "list", "--json").stdout)
    halfway = next(m for m in listed if m["id"] == "halfway")
    assert halfway["state"] == "failed"
    assert "disk full" in halfway["reason"]
    assert "(at the start of 20" in halfway["reason"]


def test_the_graph_shows_requirements(tessera: Any) -> None:
    """`graph` prints a Mermaid flowchart with an arrow for each requirement."""
    lines = tessera("modules", "graph").stdout.splitlines()
    assert lines[0] == "graph TD"
    assert any("needy --> bad" in line for line in lines)
    assert any(line.strip().startswith("good[") and line.endswith(":::enabled") for line in lines)


def test_an_unknown_module_is_refused_with_the_known_ones(tessera: Any) -> None:
    """`info` of a module that is not there names those that are."""
    refused = tessera("modules", "info", "goud")
    assert refused.returncode == 1
    assert "there is no module 'goud'" in refused.stderr
    assert "good" in refused.stderr


def test_info_says_what_a_module_brings(tessera: Any, tmp_path: Path) -> None:
    """Its hooks, extension points of others among them, its events and what it subscribes to."""
    with (tmp_path / "settings.toml").open("a") as settings:
        for name in ("users", "catalog", "orders", "analytics"):
            settings.write(f"[modules.{name}]\nenabled = true\n")
    answer = tessera("modules", "info", "orders", "analytics", "good", "--json")
    orders, analytics, good = json.loads(answer.stdout)
    assert "orders.order_created.v1" in orders["events"]
    assert "orders.order_created.v1" in analytics["subscriptions"]
    assert (good["hooks"], good["events"], good["subscriptions"]) == (
        ["manifest", "routers"],
        [],
        [],
    )
    assert "hookspecs" in orders["hooks"]
    assert "subscriptions" in tessera("modules", "info", "orders").stdout
