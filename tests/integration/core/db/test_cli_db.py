"""``tessera db …`` as a person or a script uses it."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from core.cli.root import run
from tests.support.checks.plots import module
from tests.support.checks.tables import MIGRATIONS, table, tables
from tests.support.databases import empty_database
from tests.support.plants import Garden, minimal


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
            run()
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
    url = "postgresql+asyncpg://nobody:hidden@127.0.0.1:1/none"
    return CommandLine(tmp_path, url, monkeypatch, capsys)


def test_upgrade_status_downgrade(db: CommandLine) -> None:
    """Status tells what waits, upgrade does it, and downgrade of one module leaves the other."""
    before = db("status", "--json")
    assert before.code == 0
    assert [(s["module"], bool(s["pending"])) for s in json.loads(before.out)] == [
        ("core", True),
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
    """A module that is not there is a 2 that names those that are, like a missing option."""
    unknown = db("upgrade", "--module", "nowhere")
    assert unknown.code == 2
    assert "no module 'nowhere' is enabled; enabled: users, catalog (core means" in unknown.err
    assert db("downgrade").code == 2


def test_a_downgrade_to_nowhere_is_refused_in_one_line(db: CommandLine) -> None:
    """A target that is not behind the database is named with those that are; nothing is done."""
    empty = db("downgrade", "--module", "catalog")
    assert empty.code == 1
    assert empty.err == "tessera: module 'catalog' is at no revision: nothing to go back to\n"
    assert db("downgrade", "--module", "catalog", "base").code == 0
    db("upgrade")
    for target in ("nonsense", "-9", "+1"):
        wrong = db("downgrade", "--module", "catalog", "--", target)
        assert wrong.code == 1
        assert wrong.out == ""
        assert wrong.err.startswith("tessera: module 'catalog' cannot go back from ")
        assert wrong.err.count("\n") == 1
        assert f"{target!r}; its revisions: base, 0001" in wrong.err
    waiting = json.loads(db("status", "--json").out)
    assert [s["pending"] for s in waiting] == [[], [], []]


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
    """No server is one line that says where and why, without the password, and exit code 1."""
    done = nowhere(verb)
    assert done.code == 1
    assert done.err == (
        "tessera: the database cannot be reached at 127.0.0.1:1/none: Connection refused\n"
    )


def test_a_host_that_nobody_knows(nowhere: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown host is told apart from a server that refuses."""
    url = "postgresql+asyncpg://nobody@nowhere.invalid/none"
    monkeypatch.setenv("TESSERA_DATABASE__URL", url)
    done = nowhere("status")
    assert done.code == 1
    assert done.err.startswith(
        "tessera: the database cannot be reached at nowhere.invalid:5432/none: "
    )
    assert "refused" not in done.err


@pytest.mark.postgres
def test_a_database_that_the_server_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server's own words tell that only the database is missing; no password is shown."""
    with empty_database("postgresql", tmp_path) as there:
        url = make_url(there).set(database="not_made").render_as_string(hide_password=False)
        done = CommandLine(tmp_path, url, monkeypatch, capsys)("status")
    assert done.code == 1
    assert done.err.endswith('/not_made: database "not_made" does not exist\n')
    assert done.err.count("\n") == 1
    assert "@" not in done.err


@pytest.mark.parametrize("verb", ["status", "upgrade"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/proc/nope/x.db", "No such file or directory"),
        ("letters.txt", "it is no SQLite database"),
        ("letters.txt/x.db", "letters.txt is no folder"),
        ("folder", "Is a directory"),
    ],
)
def test_a_file_that_cannot_be_a_database(
    path: str, reason: str, verb: str, nowhere: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line names the setting, the path and the reason; exit code 2, no traceback."""
    Path("letters.txt").write_text("to whom it may concern\n" * 100)
    Path("folder").mkdir()
    monkeypatch.setenv("TESSERA_DATABASE__URL", f"sqlite+aiosqlite:///{path}")
    done = nowhere(verb)
    assert done.code == 2
    assert done.err == (f"tessera: configuration: database.url: {path} cannot be used: {reason}\n")


@pytest.mark.parametrize("verb", ["upgrade", "downgrade", "status", "check", "revision"])
def test_every_verb_explains_itself(nowhere: CommandLine, verb: str) -> None:
    """Each verb has a help text, and asking for it needs no database."""
    shown = nowhere(verb, "--help")
    assert shown.code == 0
    assert "--module" in shown.out


def test_check_does_not_pass_over_who_is_left_out(
    db: CommandLine, tmp_path: Path, garden: Garden
) -> None:
    """A module that has failed is named as not compared, and the exit code is 1; asked for one
    that serves, `check` answers for that one."""
    garden.plant("bad", minimal("bad", "raise ValueError('no')"))
    with (tmp_path / "settings.toml").open("a") as settings:
        settings.write("[modules.bad]\nenabled = true\n")
    assert db("upgrade").code == 0
    done = db("check")
    assert done.code == 1
    assert done.out == "bad: not compared, since the module is left out\n"
    assert done.err.startswith("tessera: module bad is left out: ")
    assert done.err.count("\n") == 1
    one = db("check", "--module", "users")
    assert (one.code, one.out) == (0, "the models and the database agree\n")


def test_revision_warns_of_a_column_that_rows_cannot_get(
    db: CommandLine, tmp_path: Path, garden: Garden
) -> None:
    """A revision that adds a NOT NULL column without a server default is written and warned of; one
    that adds it with a default, or makes the table, is not."""
    with (tmp_path / "settings.toml").open("a") as settings:
        settings.write("[modules.bad]\nenabled = true\n")
    write = ("revision", "--module", "bad", "--autogenerate", "-m", "more")
    model = "from sqlmodel import Field\n" + table("things")
    default = 'sa_column_kwargs={"server_default": ""}'
    columns = ("", "    note: str\n", f"    word: str = Field({default})\n")
    told = []
    for column in columns:
        model += column
        garden.plant("bad", module(model + tables("Thing") + MIGRATIONS))
        garden.file("planted_bad", "migrations/README", "revisions\n")
        done = db(*write)
        assert done.code == 0, done.err
        assert "_more.py" in done.out
        told.append(done.err)
        assert db("upgrade").code == 0
    assert told[0] == told[2] == ""
    assert told[1].startswith("tessera: column bad_things.note is NOT NULL: ")
    assert told[1].count("\n") == 1


def test_a_module_without_revisions_has_nothing_to_do(db: CommandLine, tmp_path: Path) -> None:
    """A module that keeps nothing in the database stands in the way of no verb."""
    with (tmp_path / "settings.toml").open("a") as settings:
        settings.write("[modules.cache]\nenabled = true\n")
    for verb in ("status", "upgrade", "check"):
        done = db(verb)
        assert done.code == 0, done.err
        assert "cache" not in done.out
