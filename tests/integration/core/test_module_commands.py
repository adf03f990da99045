"""Modules' verbs on the command line: one that cannot be made takes no other with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.apps import serving
from tests.support.plants import Garden, minimal, with_route
from tests.support.processes import Installation

COMMANDS = """
import typer
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from pathlib import Path

def commands():
    app = typer.Typer(help="What {0} does.")

    @app.command()
    def load(file: {1}) -> None:
        print("loaded", file)

    return app

commands = hookimpl(commands)
"""
LEFT_OUT = "tessera: module bad: its commands cannot be made: NameError: name 'Path' is not defined"


@pytest.fixture
def home(garden: Garden, tmp_path: Path) -> Installation:
    """Two modules with commands; those of one name a type that is not there at run time."""
    for name, kind in (("good", "str"), ("bad", "'Path'")):
        garden.plant(name, minimal(name, "") + COMMANDS.format(name, kind))
    made = Installation(tmp_path / "home", f"sqlite+aiosqlite:///{tmp_path / 'it.db'}")
    sections = "".join(f"[modules.{name}]\nenabled = true\n" for name in ("good", "bad"))
    database = f'[database]\nurl = "sqlite+aiosqlite:///{tmp_path / "it.db"}"\n'
    (made.folder / "settings.toml").write_text(database + sections)
    made.environ["PYTHONPATH"] = str(garden.folder)
    return made


def test_commands_that_cannot_be_made_take_no_other_with_them(home: Installation) -> None:
    """The help lists the others, which work; one line names the module and says why."""
    helped = home.run("--help")
    assert (helped.returncode, "What good does." in helped.stdout) == (0, True)
    assert helped.stderr.startswith(LEFT_OUT)
    assert len(helped.stderr.splitlines()) == 1
    done = home.run("good", "load", "it")
    assert (done.returncode, done.stdout) == (0, "loaded it\n")
    refused = home.run("bad", "load", "it")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[0].startswith(LEFT_OUT)
    assert "Traceback" not in refused.stderr


def test_commands_that_cannot_be_made_are_told_of_by_list_and_info(home: Installation) -> None:
    """The module serves and is enabled; `modules list` and `modules info` say what is wrong."""
    listed = home.run("modules", "list", "--json")
    modules = {it["id"]: it for it in json.loads(listed.stdout)}
    assert listed.returncode == 0
    assert modules["good"]["reason"] == ""
    assert modules["bad"]["state"] == "enabled"
    assert modules["bad"]["reason"].startswith("its commands cannot be made: NameError: name 'Pa")
    info = home.run("modules", "info", "good", "bad")
    assert info.returncode == 0
    assert "mend bad, or disable it" in info.stdout


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise OSError('no disk')", "its hook commands() failed: OSError: no disk"),
        ("return 5", "its hook commands() returned int, not a typer.Typer"),
    ],
)
def test_a_hook_that_makes_no_commands_is_told_of(
    home: Installation, garden: Garden, body: str, told: str
) -> None:
    """`check` has a finding, `modules list` and the command line tell it once, in its words."""
    garden.plant("bad", minimal("bad", f"@hookimpl\ndef commands(): {body}"))
    found = json.loads(home.run("check", "--json").stdout)
    assert [it["code"] for it in found if it["reason"].startswith(told)] == ["T001"]
    listed = {it["id"]: it for it in json.loads(home.run("modules", "list", "--json").stdout)}
    assert listed["bad"]["reason"].startswith(told)
    assert home.run("--help").stderr.startswith(f"tessera: module bad: {told}")


def test_a_module_without_its_commands_serves_and_is_told_to(
    home: Installation, garden: Garden, sqlite_url: str
) -> None:
    """A failing `commands()` takes the verbs alone: its routes answer, `/readyz` is content, and
    whoever asks for the verbs is told that it serves without them."""
    garden.plant("bad", with_route("bad") + "\n@hookimpl\ndef commands(): raise OSError('no disk')")
    with serving(sqlite_url, "bad") as client:
        assert client.get("/v1/bad").status_code == 200
        assert client.get("/readyz").json()["modules"]["bad"] == {"state": "enabled"}
    info = home.run("modules", "info", "bad", "--json")
    told = json.loads(info.stdout)
    assert (info.returncode, told["state"]) == (0, "enabled")
    assert told["remedy"] == "mend bad, or disable it; until then it serves without its verbs"


@pytest.mark.parametrize("verb", ["db", "good"])
def test_no_verb_offers_to_complete_itself(home: Installation, verb: str) -> None:
    """A shell completes programs: help of a verb offers no completion that would not work."""
    assert "completion" not in home.run(verb, "--help").stdout
