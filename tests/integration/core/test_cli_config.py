"""The command line and settings, as real processes."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import subprocess
from pathlib import Path

import pytest

from tests.support import prepared
from tests.support.prepared import PROGRAM


def _environment(**more: str) -> dict[str, str]:
    kept = {name: v for name, v in os.environ.items() if not name.startswith("TESSERA_")}
    return {**kept, "COLUMNS": "100", **more}


def _run(
    folder: Path, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return prepared.run(
        [*PROGRAM, *arguments], folder=folder, environ=_environment(**(env or {})), seconds=60
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "settings.toml").write_text("[modules.catalog]\nenabled = true\n")
    return tmp_path


WRONG = [
    (
        "server.prot = 1",
        {},
        'settings.toml: unknown key "server.prot"; did you mean "server.port"?',
    ),
    ('server.port = "abc"', {}, 'settings.toml: server.port: "abc" is not a whole number'),
    ("server.port =", {}, "settings.toml line 1, at the end: broken TOML: expected a value"),
    (None, {}, "settings.toml: not found in "),
    (None, {"TESSERA_SETTINGS": "x.toml"}, "x.toml: no such settings file (named by environment"),
    (
        "",
        {"TESSERA_SERVER__PROT": "1"},
        'environment TESSERA_SERVER__PROT: unknown key "server.prot"; '
        "did you mean TESSERA_SERVER__PORT?",
    ),
    (
        'app.environment = "production"',
        {},
        "app.secret_key is not set and app.environment is production",
    ),
]


@pytest.mark.parametrize(("toml", "env", "message"), WRONG)
def test_wrong_settings_end_with_two_and_one_line(
    tmp_path: Path, toml: str | None, env: dict[str, str], message: str
) -> None:
    """`serve` ends with 2 within 5 seconds, with one line on stderr and no traceback."""
    if toml is not None:
        (tmp_path / "settings.toml").write_text(toml)
    before = _seconds_of_children()
    done = _run(tmp_path, "serve", "--port", "0", env=env)
    assert _seconds_of_children() - before < 5
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def _seconds_of_children() -> float:
    """Processor time: the clock on the wall would measure the other tests that run meanwhile."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_show_refuses_wrong_settings_alike(tmp_path: Path) -> None:
    """`config show` says the same, all that is wrong in the one line."""
    (tmp_path / "settings.toml").write_text("server.prot = 1\nserver.workers = 0")
    done = _run(tmp_path, "config", "show")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "tessera: configuration: settings.toml: server.workers must be greater than or equal to 1; "
        'settings.toml: unknown key "server.prot"; did you mean "server.port"?'
    ]


def test_show_masks_secrets_and_names_origins(folder: Path) -> None:
    """Every setting is listed with where it came from; passwords and keys are not."""
    env = {
        "TESSERA_APP__SECRET_KEY": "q8Zt4vXn2LwPd7RfYb1KsHc6MgJe9UaTo3Ni",
        "TESSERA_REDIS__URL": "redis://me:hunter2@cache/0",
        "TESSERA_MODULES__PAY__API_KEY": "hunter3",
    }
    done = _run(folder, "config", "show", "--origin", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "server.port = 8000  (default)" in lines
    assert "app.secret_key = ********  (environment TESSERA_APP__SECRET_KEY)" in lines
    assert "redis.url = redis://me:********@cache/0  (environment TESSERA_REDIS__URL)" in lines
    assert "modules.catalog.enabled = true  (settings.toml)" in lines
    assert "modules.pay.enabled = false  (default  kept: module not installed)" in lines
    assert "modules.pay.api_key = ********  (environment TESSERA_MODULES__PAY__API_KEY)" in lines
    for secret in ("hunter2", "hunter3", "q8Zt4"):
        assert secret not in done.stdout


def test_show_without_origin_is_keys_and_values(folder: Path) -> None:
    """Plainly, one setting a line, without a word on origins."""
    lines = _run(folder, "config", "show").stdout.splitlines()
    assert "server.port = 8000" in lines
    assert not any("settings.toml" in line for line in lines)


def test_show_as_json(folder: Path) -> None:
    """A program gets keys, typed values and origins."""
    documents = json.loads(_run(folder, "config", "show", "--json").stdout)
    found = {document["key"]: document for document in documents}
    assert found["server.port"] == {"key": "server.port", "value": 8000, "origin": "default"}
    assert found["modules.catalog.enabled"]["value"] is True
    assert found["app.secret_key"] == {
        "key": "app.secret_key",
        "value": "********",
        "origin": "var/secret_key",
    }


def test_values_of_the_secrets_directory_are_never_shown(folder: Path) -> None:
    """What came from a secret file is masked, however innocent its key sounds."""
    (folder / "secrets").mkdir()
    (folder / "secrets" / "tessera_modules__pay__pepper").write_text("hunter2")
    env = {"TESSERA_APP__SECRETS_DIR": "secrets"}
    done = _run(folder, "config", "show", "--origin", env=env)
    assert (
        "modules.pay.pepper = ********  (secrets directory tessera_modules__pay__pepper)"
        in done.stdout
    )
    assert "hunter2" not in done.stdout


def test_odd_names_are_warnings_beside_the_output(folder: Path) -> None:
    """A prefixed name without nesting is told on stderr and changes nothing."""
    done = _run(folder, "config", "show", env={"TESSERA_PORT": "tcp://10.0.0.1:80"})
    assert done.returncode == 0
    assert done.stderr == (
        'warning: environment TESSERA_PORT: not a setting: the name holds no "__"\n'
    )


def test_the_table_fits_a_hundred_columns(folder: Path) -> None:
    """On a terminal of 100 columns it is a table, and no line is broken by the terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "config", "show", "--origin"],
        cwd=folder,
        env=_environment(TERM="xterm", TESSERA_SERVER__PORT="9"),
        stdout=theirs,
    )
    os.close(theirs)
    lines = re.sub(r"\x1b\[[\d;]*m", "", _all_of(ours)).splitlines()
    assert process.wait(60) == 0
    assert lines[0].split() == ["setting", "value", "from"]
    assert any(line.split()[:3] == ["app.name", "Tessera", "default"] for line in lines)
    assert max(len(line.rstrip()) for line in lines) <= 100


def _all_of(descriptor: int) -> str:
    parts = []
    try:
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(descriptor)
    return b"".join(parts).decode()
