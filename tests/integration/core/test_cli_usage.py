"""Wrong usage of the command line: one line, exit code 2, the way to the help."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support import prepared
from tests.support.prepared import PROGRAM


def tessera(*words: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """``python main.py …`` in a folder with settings that enable nothing."""
    (cwd / "settings.toml").write_text("")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TESSERA_")}
    return prepared.run(
        [*PROGRAM, *words],
        folder=cwd,
        environ={**environment, **extra},
        given="a good long one\n",
        seconds=60,
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("serve", "--port", "abc"), "tessera: Invalid value for '--port'"),
        (("bogus",), "tessera: No such command 'bogus'."),
        (("modules", "info"), "tessera: Missing argument 'MODULE'."),
        (("db", "upgrade", "--nonsense"), "tessera: No such option: --nonsense"),
    ],
)
def test_wrong_usage_is_one_line(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    """Wrong usage ends with 2 and one line that says what is wrong and where the help is."""
    done = tessera(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.lower().startswith(told.lower())
    assert re.search(r"[^.]\. See: \S.* --help$", line)


def test_without_a_verb_there_is_help(tmp_path: Path) -> None:
    """Called without a verb, the command line shows its help and ends with 2."""
    done = tessera(cwd=tmp_path)
    assert done.returncode == 2
    assert "serve" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_an_absent_database_is_one_line_for_a_modules_command_too(tmp_path: Path) -> None:
    """A command of a module that cannot reach the database ends with 1 and one line."""
    settings = {
        "TESSERA_DATABASE__URL": "postgresql+asyncpg://u:hidden@127.0.0.1:9/x",
        "TESSERA_MODULES__USERS__ENABLED": "true",
        "TESSERA_MODULES__AUTH__ENABLED": "true",
    }
    done = tessera("users", "create-admin", "--email", "q@example.com", cwd=tmp_path, **settings)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("tessera: ")
    assert "database" in line
    assert "hidden" not in line
