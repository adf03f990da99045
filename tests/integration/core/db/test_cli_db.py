"""``tessera db …`` as a person or a script uses it."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.cli import main


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int | str | None
    out: str
    err: str


class CommandLine:
    """The command line in a folder with its settings, on modules of the repository."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(folder)
        for name in [n for n in os.environ if n.startswith("TESSERA_") and "TEST" not in n]:
            monkeypatch.delenv(name)
        modules = "".join(f"[modules.{m}]\nenabled = true\n" for m in ("users", "catalog"))
        settings = f'[database]\nurl = "{database_url}"\n{modules}'
        (folder / "settings.toml").write_text(settings)

    def __call__(self, *words: str) -> Done:
        """Run ``tessera db <words>``; what it printed and its exit code."""
        self._monkeypatch.setattr("sys.argv", ["tessera", "db", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        return Done(caught.value.code, *self._capsys.readouterr())


@pytest.fixture
def db(
    tmp_path: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> CommandLine:
    """A deployment with two modules and an empty database."""
    return CommandLine(tmp_path, database_url, monkeypatch, capsys)


@pytest.fixture
def nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """A deployment whose database server is not there."""
    url = "postgresql+asyncpg://nobody@127.0.0.1:1/none"
    return CommandLine(tmp_path, url, monkeypatch, capsys)


def test_upgrade_status_downgrade(db: CommandLine) -> None:
    """Status tells what waits, upgrade does it, and downgrade of one module leaves the other."""
    before = db("status", "--json")
    assert before.code == 0
    assert [(s["module"], bool(s["pending"])) for s in json.loads(before.out)] == [
        ("users", True),
        ("catalog", True),
    ]
    assert db("upgrade").code == 0
    assert db("check").code == 0
    down = db("downgrade", "base", "--module", "catalog")
    assert down.code == 0
    waiting = {s["module"]: s["pending"] for s in json.loads(db("status", "--json").out)}
    assert waiting["users"] == []
    assert waiting["catalog"] != []
    found = db("check")
    assert found.code == 1
    assert "catalog: migrations wait" in found.out


def test_wrong_use(db: CommandLine) -> None:
    """A module that is not there is one line and 1; a missing option is 2."""
    unknown = db("upgrade", "--module", "nowhere")
    assert unknown.code == 1
    assert unknown.err.count("\n") == 1
    assert "users, catalog" in unknown.err
    assert db("downgrade").code == 2


def test_downgrade_in_production_needs_a_yes(
    nowhere: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In production nothing is lost without --yes."""
    monkeypatch.setenv("TESSERA_APP__ENVIRONMENT", "production")
    monkeypatch.setenv("TESSERA_APP__SECRET_KEY", "2b1f8a6e5c0d4f7a9b3c1d2e4f6a8b0c1d3e5f7a")
    refused = nowhere("downgrade", "--module", "users")
    assert refused.code == 1
    assert "--yes" in refused.err


@pytest.mark.parametrize("verb", ["status", "upgrade", "check"])
def test_database_that_is_not_there(nowhere: CommandLine, verb: str) -> None:
    """No server is one line and exit code 1, without a traceback."""
    done = nowhere(verb)
    assert done.code == 1
    assert done.err == "tessera: The database cannot be reached just now.\n"


@pytest.mark.parametrize("verb", ["upgrade", "downgrade", "status", "check", "revision"])
def test_every_verb_explains_itself(nowhere: CommandLine, verb: str) -> None:
    """Each verb has a help text, and asking for it needs no database."""
    shown = nowhere(verb, "--help")
    assert shown.code == 0
    assert "--module" in shown.out


def test_a_module_without_revisions_has_nothing_to_do(db: CommandLine, tmp_path: Path) -> None:
    """A module that keeps nothing in the database stands in the way of no verb."""
    with (tmp_path / "settings.toml").open("a") as settings:
        settings.write("[modules.cache]\nenabled = true\n")
    for verb in ("status", "upgrade", "check"):
        done = db(verb)
        assert done.code == 0, done.err
        assert "cache" not in done.out
