"""Where settings come from, and which place wins."""

from __future__ import annotations

import os
import stat
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.settings import Settings, core_fields, load_settings
from core.settings_sources import variable_of
from tests.support.deployments import Deployment

ROOT = Path(__file__).parents[3]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    return Deployment(tmp_path, monkeypatch)


def test_an_empty_file_means_the_defaults(here: Deployment) -> None:
    """A deployment that says nothing listens on loopback, on SQLite, with no module."""
    settings = here.load("")
    assert settings.app.environment == "development"
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8000)
    assert settings.database.url == "sqlite+aiosqlite:///var/tessera.db"
    assert list(settings.api.versions) == ["v1", "v2"]
    assert dict(settings.modules) == {}


def test_the_shipped_file_enables_every_shipped_module(here: Deployment) -> None:
    """What is shipped runs, in development, on SQLite."""
    settings = here.load((ROOT / "settings.toml").read_text(encoding="utf-8"))
    enabled = {name for name, section in settings.modules.items() if section.enabled}
    assert enabled == {path.parent.name for path in ROOT.glob("modules/*/module.py")}
    assert settings.app.environment == "development"
    assert settings.database.is_sqlite
    assert settings.warnings == ()


PLACES = ("settings.toml", "secrets directory", ".env", "environment", "command line")
KEYS = (("server", "port"), ("server", "workers"), ("database", "pool_size"), ("modules.m", "size"))


def _place(places: dict[str, dict[tuple[str, str], int]]) -> dict[str, Any]:
    toml = "\n".join(f"{s}.{k} = {v}" for (s, k), v in places["settings.toml"].items())
    overrides: dict[str, Any] = {}
    for (section, key), value in places["command line"].items():
        inner = overrides
        for name in section.split("."):
            inner = inner.setdefault(name, {})
        inner[key] = value
    named = {
        place: {variable_of(f"{s}.{k}"): str(v) for (s, k), v in places[place].items()}
        for place in ("secrets directory", ".env", "environment")
    }
    return {
        "toml": toml,
        "secrets": {name.lower(): text + "\n" for name, text in named["secrets directory"].items()},
        "dotenv": "\n".join(f"{k}={v}" for k, v in named[".env"].items()) or "# nothing",
        "env": named["environment"],
        "overrides": overrides,
    }


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.fixed_dictionaries(
        {place: st.dictionaries(st.sampled_from(KEYS), st.integers(1, 200)) for place in PLACES}
    )
)
def test_each_key_comes_from_the_strongest_place_that_has_it(
    here: Deployment, places: dict[str, dict[tuple[str, str], int]]
) -> None:
    """Whatever is said where: key by key, the strongest place wins, and `origins` names it."""
    for old in (here.folder / "secrets").glob("*"):
        old.unlink()
    settings = here.load(**_place(places))
    for section, key in KEYS:
        strongest = next((p for p in reversed(PLACES) if (section, key) in places[p]), None)
        if strongest is None:
            assert settings.origins.get(f"{section}.{key}", "default") == "default"
            continue
        expected = places[strongest][section, key]
        assert _value(settings, section, key) == expected
        assert settings.origins[f"{section}.{key}"].startswith(strongest)


def _value(settings: Settings, section: str, key: str) -> int:
    if section == "modules.m":
        return int(settings.modules["m"].options[key])
    return int(getattr(getattr(settings, section), key))


def test_tables_are_merged_and_not_replaced(here: Deployment) -> None:
    """One key from the environment leaves the other keys of its section to the file."""
    settings = here.load(
        '[server]\nhost = "::1"\nport = 1\n[modules.orders]\nenabled = true\nsize = 2',
        env={"TESSERA_SERVER__PORT": "2", "TESSERA_MODULES__ORDERS__ENABLED": "false"},
    )
    assert (settings.server.host, settings.server.port) == ("::1", 2)
    assert settings.modules["orders"].enabled is False
    assert settings.modules["orders"].options == {"size": 2}


def test_saying_something_of_one_version_keeps_the_other(here: Deployment) -> None:
    """A sunset for v1 is a date, and v2 is served all the same."""
    settings = here.load("[api.versions.v1]\ndeprecated = 2026-11-01\nsunset = 2027-11-01")
    assert settings.api.versions["v1"].deprecated == date(2026, 11, 1)
    assert settings.api.versions["v1"].sunset == date(2027, 11, 1)
    assert settings.api.versions["v2"].sunset is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1, 192.168.0.0/16", ("10.0.0.1", "192.168.0.0/16")),
        ('["10.0.0.1"]', ("10.0.0.1",)),
        ("*", ("*",)),
        ("", ()),
    ],
)
def test_a_list_in_the_environment(here: Deployment, text: str, expected: tuple[str, ...]) -> None:
    """A list is JSON or its items separated by commas; nothing is the empty list."""
    settings = here.load(env={"TESSERA_SERVER__TRUSTED_PROXIES": text})
    assert settings.server.trusted_proxies == expected


def test_a_table_in_the_environment_is_json(here: Deployment) -> None:
    """A whole section of a module may come as one JSON object."""
    settings = here.load(env={"TESSERA_MODULES__ORDERS": '{"enabled": true, "size": 3}'})
    assert settings.modules["orders"].enabled
    assert settings.modules["orders"].options == {"size": 3}


def test_a_module_named_only_in_the_environment_counts_as_named(here: Deployment) -> None:
    """ENABLED=true in the environment is enough; the id may be written in either case."""
    settings = here.load(env={"TESSERA_MODULES__orders__ENABLED": "true"})
    assert settings.modules["orders"].enabled


def test_another_file_is_named_by_the_environment_or_dotenv(here: Deployment) -> None:
    """TESSERA_SETTINGS names the file, in .env too; the environment's word counts more."""
    here.write("a.toml", "server.port = 1")
    here.write("b.toml", "server.port = 2")
    named = here.load(None, dotenv="TESSERA_SETTINGS=a.toml")
    assert (named.server.port, named.origins["server.port"]) == (1, "a.toml")
    assert here.load(None, env={"TESSERA_SETTINGS": "b.toml"}).server.port == 2


def test_the_reserved_names_are_no_settings(here: Deployment) -> None:
    """TESSERA_TEST_… is for the suite, even with two underscores; nothing is said about it."""
    settings = here.load(env={"TESSERA_TEST_REQUIRE": "redis", "TESSERA_TEST_X__Y": "1"})
    assert settings.warnings == ()


def test_names_without_the_prefix_in_dotenv_are_not_ours(here: Deployment) -> None:
    """Other programs may keep their variables, and lines that only they can read, in .env."""
    settings = here.load(dotenv="SERVER__PORT=x\nPORT=1\nexport TESSERA_SERVER__PORT='9'\n")
    assert settings.server.port == 9
    assert settings.warnings == ()


def test_a_prefixed_name_without_nesting_is_a_warning(here: Deployment) -> None:
    """Orchestrators inject names such as TESSERA_PORT: they are reported and not refused."""
    settings = here.load(env={"TESSERA_PORT": "tcp://10.0.0.1:80"}, dotenv="TESSERA_HOST=x")
    assert settings.server.port == 8000
    assert settings.warnings == (
        'environment TESSERA_PORT: not a setting: the name holds no "__"',
        '.env TESSERA_HOST: not a setting: the name holds no "__"',
    )


def test_a_broken_line_of_others_in_dotenv_is_a_warning(here: Deployment) -> None:
    """A line that nobody can read is named, and the rest of .env is read."""
    settings = here.load(dotenv="this is no line\nTESSERA_SERVER__PORT=9\n")
    assert settings.server.port == 9
    assert settings.warnings == (".env line 1: expected NAME=value; ignored",)


def test_secret_files_are_named_like_variables(here: Deployment) -> None:
    """A file counts in either case and without its last newline; strangers' files are not read."""
    settings = here.load(
        secrets={
            "tessera_redis__url": "redis://cache/0\n",
            "TESSERA_APP__NAME": "Shop\n",
            "postgres_password": "x",
        }
    )
    assert settings.redis.url == "redis://cache/0"
    assert settings.app.name == "Shop"
    assert settings.origins["redis.url"] == "secrets directory tessera_redis__url"


def test_every_setting_has_an_origin(here: Deployment) -> None:
    """No key of core's is without a word on where its value came from."""
    assert {key for key, _, _ in core_fields()} <= set(here.load("").origins)


def test_settings_are_frozen(here: Deployment) -> None:
    """Nobody changes settings after they were read."""
    settings = here.load("[modules.orders]\nenabled = true")
    for target, name in (
        (settings, "app"),
        (settings.server, "port"),
        (settings.modules["orders"], "enabled"),
    ):
        with pytest.raises(ValidationError):
            setattr(target, name, None)


def test_settings_for_tests_read_nothing_from_outside(
    here: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither files nor variables reach them, they are of the environment test and have a key."""
    here.write("settings.toml", "server.port = 1")
    monkeypatch.setenv("TESSERA_SERVER__PORT", "2")
    settings = Settings.for_tests(modules={"users": {"enabled": True, "password_min": 8}})
    assert settings.server.port == 8000
    assert settings.app.environment == "test"
    assert len(settings.app.secret_key.get_secret_value()) >= 32
    assert settings.modules["users"].options == {"password_min": 8}
    assert not (here.folder / "var").exists()


def test_without_arguments_the_process_environment_counts(
    here: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`load_settings()` reads settings.toml here and the environment of this process."""
    here.write("settings.toml", "")
    monkeypatch.setenv("TESSERA_SERVER__PORT", "7")
    assert load_settings().server.port == 7


def test_env_example_names_every_setting_with_its_default(here: Deployment) -> None:
    """.env.example is complete, and with all its lines in force nothing changes."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    assignments = dict(line.split("=", 1) for line in lines if line.startswith("TESSERA_"))
    for key, description, _ in core_fields():
        assert description
        assert variable_of(key) in assignments, key
        assert description in lines, key
    del assignments["TESSERA_MODULES__ORDERS__ENABLED"]
    given = here.load("", env=assignments)
    plain = here.load("")
    assert given.model_dump(exclude={"modules"}) == plain.model_dump(exclude={"modules"})


def test_development_keeps_its_key_to_itself(here: Deployment) -> None:
    """The key of a development machine is made once, for its owner's eyes, and used again."""
    first = here.load("")
    path = here.folder / "var" / "secret_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.app.secret_key == here.load("").app.secret_key
    assert first.origins["app.secret_key"] == os.path.join("var", "secret_key")
    assert [p.name for p in path.parent.iterdir()] == ["secret_key"]


def test_the_environment_test_makes_a_key_for_the_process_alone(here: Deployment) -> None:
    """Nothing is written in the environment test."""
    settings = here.load("", env={"TESSERA_APP__ENVIRONMENT": "test"})
    assert len(settings.app.secret_key.get_secret_value()) >= 32
    assert not (here.folder / "var").exists()
