"""``tessera users create-admin`` as an operator runs it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import prepared
from tests.support.people import PASSWORD, QUICK, People, Person, people
from tests.support.prepared import PROGRAM

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def command_in(folder: Path, database_url: str) -> Command:
    """Runs the command in a deployment of its own, with a password on standard input."""
    (folder / "settings.toml").write_text(
        "[app]\nenvironment = 'development'\nsecret_key = '" + "s" * 40 + "'\n"
        "[modules.users]\nenabled = true\n[modules.auth]\nenabled = true\n"
        + "".join(f"{key} = {value}\n" for key, value in QUICK.items())
    )

    def run(*arguments: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
        return prepared.run(
            [*PROGRAM, "users", "create-admin", *arguments],
            folder=folder,
            environ={**os.environ, "TESSERA_DATABASE__URL": database_url},
            given=password + "\n",
            seconds=60,
        )

    return run


@pytest.fixture
def create_admin(database_url: str, tmp_path: Path) -> Command:
    """On either database."""
    return command_in(tmp_path, database_url)


def signed_in(here: People, email: str, password: str) -> dict[str, object]:
    """Who one is after signing in."""
    person = here.sign_in(Person(0, email, password))
    answer: dict[str, object] = here.me(person).json()
    return answer


def test_an_admin_is_made_once(create_admin: Command, database_url: str) -> None:
    """On an empty database: exit 0, an admin who can sign in; again: says so, changes nothing."""
    made = create_admin("--email", "Root@Example.com")
    assert (made.returncode, made.stdout) == (0, "root@example.com is now an admin.\n"), made
    again = create_admin("--email", "root@example.com", password="quite another one")
    assert again.returncode == 0
    assert "already" in again.stdout
    with people(database_url) as here:
        me = signed_in(here, "root@example.com", PASSWORD)
        assert (me["role"], me["name"]) == ("admin", "root")
        assert here.login("root@example.com", "quite another one").status_code == 401


def test_a_user_who_was_there_first_becomes_admin_only_with_the_operators_password(
    create_admin: Command, database_url: str
) -> None:
    """Whoever registered the operator's address gets nothing of it: no token, no password."""
    with people(database_url) as here:
        squatter = here.somebody()
    done = create_admin("--email", squatter.email, "--name", "Op", password="the operator's own")
    assert done.returncode == 0, done
    assert "now an active admin" in done.stdout
    with people(database_url) as here:
        assert here.me(squatter).status_code == 401
        assert here.call("POST", "/auth/refresh", json=squatter.refresh).status_code == 401
        assert here.login(squatter.email, squatter.password).status_code == 401
        assert signed_in(here, squatter.email, "the operator's own")["role"] == "admin"


@pytest.mark.parametrize(
    ("arguments", "password", "code", "said"),
    [
        (["--email", "nobody"], PASSWORD, 2, "not an e-mail address"),
        ([], PASSWORD, 2, "--email"),
        (["--email", "a@b.example", "--name", " "], PASSWORD, 2, "--name"),
        (["--email", "a@b.example"], "short", 1, "at least 8 characters"),
        (["--email", "a@b.example"], "x" * 129, 1, "at most 128 characters"),
        (["--email", "a@b.example"], "", 2, "No password"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    tmp_path: Path, sqlite_url: str, arguments: list[str], password: str, code: int, said: str
) -> None:
    """Exit 2 for wrong usage, 1 for a password that does not do; no traceback."""
    refused = command_in(tmp_path, sqlite_url)(*arguments, password=password)
    assert refused.returncode == code, refused
    assert said in " ".join(refused.stderr.replace("│", " ").split())
    assert "Traceback" not in refused.stderr
