"""What is wrong with settings is said in one line: where, which key, and the nearest right one."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.errors import ConfigurationError
from core.settings import Settings, load_settings
from core.settings_guards import kept_secret_key
from tests.support.deployments import Deployment

KEY = "q8Zt4vXn2LwPd7RfYb1KsHc6MgJe9UaTo3Ni"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    return Deployment(tmp_path, monkeypatch)


TOML_REFUSALS = [
    ("server.prot = 1", 'settings.toml: unknown key "server.prot"; did you mean "server.port"?'),
    ("[servr]\nport = 1", 'settings.toml: unknown key "servr"; did you mean "server"?'),
    ("app.port = 1", 'settings.toml: unknown key "app.port"; did you mean "server.port"?'),
    (
        "cors.zzzzzzzzzzzzzzzzzzzz = 1",
        'settings.toml: unknown key "cors.zzzzzzzzzzzzzzzzzzzz"; '
        "known are cors.allow_credentials, cors.allowed_origins",
    ),
    (
        "[api.versions.v3]\nsunset = 2026-01-01",
        'settings.toml: unknown key "api.versions.v3"; did you mean "api.versions.v2"?',
    ),
    (
        "api.versions.v1.sunst = 2026-01-01",
        'settings.toml: unknown key "api.versions.v1.sunst"; '
        'did you mean "api.versions.v1.sunset"?',
    ),
    ('server.port = "abc"', 'settings.toml: server.port: "abc" is not a whole number'),
    ("server.port = true", "settings.toml: server.port: true is not a whole number"),
    (
        "server.port = 70000",
        "settings.toml: server.port must be less than or equal to 65535",
    ),
    ("server.host = 5", "settings.toml: server.host: 5 is not text"),
    ("server = 5", "settings.toml: server: 5 is not a section with keys of its own"),
    ('app.debug = "maybe"', 'settings.toml: app.debug: "maybe" is not true or false'),
    (
        'app.environment = "prod"',
        'settings.toml: app.environment: "prod" is not one of development, test or production; '
        'did you mean "production"?',
    ),
    (
        'api.versions.v1.sunset = "soon"',
        'settings.toml: api.versions.v1.sunset: "soon" is not a date (2026-11-01)',
    ),
    (
        "[api.versions.v1]\ndeprecated = 2027-01-01\nsunset = 2026-01-01",
        "settings.toml: api.versions.v1: sunset 2026-01-01 comes before deprecated 2027-01-01",
    ),
    (
        'server.trusted_proxies = "10.0.0.1"',
        'settings.toml: server.trusted_proxies: "10.0.0.1" is not a list',
    ),
    (
        'server.trusted_proxies = ["proxy"]',
        'settings.toml: server.trusted_proxies: "proxy" is not an IP address, '
        "a network (10.0.0.0/8) or *",
    ),
    (
        'cors.allowed_origins = ["https://shop.example/"]',
        'settings.toml: cors.allowed_origins: "https://shop.example/" is not an origin: '
        "scheme://host[:port], nothing after it",
    ),
    (
        'modules.orders.enabled = "perhaps"',
        'settings.toml: modules.orders.enabled: "perhaps" is not true or false',
    ),
    (
        "modules.orders = true",
        "settings.toml: modules.orders: true is not a section with keys of its own",
    ),
    (
        "[server]\nport =\n",
        "settings.toml line 2, column 7: broken TOML: expected a value: text in quotes, a number, "
        "true, false, a date or [a list]",
    ),
    (
        "[server\n",
        "settings.toml line 1, column 8: broken TOML: expected ']' at the end of a table "
        "declaration",
    ),
    ("nonsense", "settings.toml line 1, at the end: broken TOML: expected '=' after a key in a "),
    (
        'server.prot = 1\nserver.workers = "x"',
        'settings.toml: server.workers: "x" is not a whole number; '
        'settings.toml: unknown key "server.prot"; did you mean "server.port"?',
    ),
    ('"a\\nb" = 1', 'settings.toml: unknown key "a\\nb"'),
]


@pytest.mark.parametrize(("toml", "message"), TOML_REFUSALS)
def test_a_wrong_file_is_refused_by_key(here: Deployment, toml: str, message: str) -> None:
    """The line names the file, the key and what would be right."""
    assert here.refusal(toml).startswith(message)


VARIABLE_REFUSALS = [
    ("SERVER__PORT", "abc", '"abc" is not a whole number'),
    ("SERVER__PORT", "", '"" is not a whole number'),
    ("SERVR__PORT", "1", 'unknown key "servr.port"; did you mean TESSERA_SERVER__PORT?'),
    ("SERVER__PROT", "1", 'unknown key "server.prot"; did you mean TESSERA_SERVER__PORT?'),
    ("SERVER__PORT__X", "1", 'unknown key "server.port.x"; did you mean TESSERA_SERVER__PORT?'),
    ("DATABASE__URI", "1", 'unknown key "database.uri"; did you mean TESSERA_DATABASE__URL?'),
    ("SERVER__TRUSTED_PROXIES", "[1", '"[1" is not a list'),
    ("API__VERSIONS", "{v1", '"{v1" is not a table'),
    ("MODULES__ORDERS__REQUIRED", "perhaps", '"perhaps" is not true or false'),
    (
        "DATABASE__URL",
        "postgresql://me:hunter2hunter2@db/x",
        'driver "postgresql" is not used here; did you mean "postgresql+asyncpg://…"?',
    ),
    (
        "DATABASE__URL",
        "sqlite:///x.db",
        'driver "sqlite" is not used here; did you mean "sqlite+aiosqlite:///…"?',
    ),
    (
        "DATABASE__URL",
        "sqlite+aiosqlite://x.db",
        "a SQLite file is written sqlite+aiosqlite:///relative or sqlite+aiosqlite:////absolute",
    ),
    (
        "DATABASE__URL",
        "hunter2hunter2",
        'must begin with "postgresql+asyncpg://" or "sqlite+aiosqlite:///"',
    ),
    (
        "DATABASE__URL",
        "postgresql+asyncpg://me:hunter2hunter2@db:port/x",
        "is not of the form postgresql+asyncpg://user:password@host:port/name",
    ),
    (
        "REDIS__URL",
        "http://:hunter2hunter2@cache",
        'must begin with "redis://", "rediss://" or "unix://", or be empty',
    ),
]


@pytest.mark.parametrize("place", ["environment", ".env", "secrets directory"])
@pytest.mark.parametrize(("name", "value", "message"), VARIABLE_REFUSALS)
def test_a_wrong_variable_is_refused_by_name(
    here: Deployment, place: str, name: str, value: str, message: str
) -> None:
    """The line names the variable as it was written, wherever it was, and shows no password."""
    variable = f"TESSERA_{name}"
    places: dict[str, Any] = {
        "environment": {"env": {variable: value}},
        ".env": {"dotenv": f"{variable}={value}\n"},
        "secrets directory": {"secrets": {variable: value}},
    }[place]
    said = here.refusal("", **places)
    assert said == f"{place} {variable}: {message}"
    assert "hunter2" not in said


def test_missing_files_are_told_apart(here: Deployment) -> None:
    """A file that somebody named says who; none at all says how to begin."""
    assert here.refusal(None, env={"TESSERA_SETTINGS": "x.toml"}) == (
        "x.toml: no such settings file (named by environment TESSERA_SETTINGS)"
    )
    assert here.refusal(None, path="y.toml") == (
        "y.toml: no such settings file (named by the command line)"
    )
    assert here.refusal(None).startswith(f"settings.toml: not found in {here.folder}; start where")


def test_unreadable_files_are_refused(here: Deployment) -> None:
    """A folder or bytes that are no text in place of a file: one line."""
    (here.folder / "settings.toml").mkdir()
    assert here.refusal(None) == "settings.toml: cannot be read: Is a directory"
    (here.folder / "settings.toml").rmdir()
    (here.folder / "settings.toml").write_bytes(b'app.name = "\xff"')
    assert here.refusal(None) == "settings.toml: expected UTF-8 text"
    here.write("settings.toml", "x = " + "[" * 100_000)
    assert here.refusal(None).startswith("settings.toml line 1, ")


def test_broken_lines_of_ours_in_dotenv_are_refused(here: Deployment) -> None:
    """A line with our prefix that is no assignment is named by its number."""
    assert here.refusal(dotenv="A=1\nTESSERA_SERVER__PORT 9\n") == (
        ".env line 2: expected NAME=value"
    )
    assert here.refusal(dotenv="TESSERA_SERVER__PORT\n") == (
        '.env line 1: expected "=" after TESSERA_SERVER__PORT'
    )


def test_a_named_secrets_directory_must_be_there(here: Deployment) -> None:
    """A secrets directory that was named and is missing is refused."""
    assert here.refusal('app.secrets_dir = "nowhere"') == (
        "settings.toml: app.secrets_dir: nowhere is no directory"
    )


# --- production ---


def _production(**more: str) -> str:
    lines = {"app.environment": '"production"', "app.secret_key": f'"{KEY}"', **more}
    return "\n".join(f"{key} = {value}" for key, value in lines.items())


def test_production_with_a_good_key_starts(here: Deployment) -> None:
    """A long random key, no debug: production on SQLite with one worker is allowed."""
    assert here.load(_production()).app.environment == "production"
    assert not (here.folder / "var").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"app.secret_key": '""'}, "app.secret_key is not set and app.environment is production"),
        ({"app.secret_key": '"q8Zt4vXn2LwPd7Rf"'}, "settings.toml: app.secret_key has 16 char"),
        ({"app.secret_key": '"secret"'}, "settings.toml: app.secret_key is a well-known or"),
        (
            {"app.secret_key": '"change-me-change-me-change-me-change-me"'},
            "settings.toml: app.secret_key is a well-known or guessable value",
        ),
        (
            {"app.secret_key": f'"{"ab" * 20}"'},
            "settings.toml: app.secret_key is a well-known or guessable value",
        ),
        ({"app.debug": "true"}, "settings.toml: app.debug must be false in production"),
        (
            {"cors.allowed_origins": '["*"]', "cors.allow_credentials": "true"},
            "settings.toml: cors.allowed_origins must name the origins in production",
        ),
        (
            {"events.recording": "false"},
            "settings.toml: events.recording must be true in production: without it every event",
        ),
        (
            {"server.workers": "2"},
            "settings.toml: server.workers must be 1 in production on SQLite",
        ),
    ],
)
def test_production_refuses_what_is_unsafe(
    here: Deployment, changed: dict[str, str], message: str
) -> None:
    """Each unsafe setting stops the start in production, and only there."""
    assert here.refusal(_production(**changed)).startswith(message)
    here.load(_production(**changed).replace('"production"', '"test"'))


def test_the_command_line_can_make_production_unsafe(here: Deployment) -> None:
    """More workers than one on SQLite are refused too when they were asked for at the start."""
    settings = here.load(_production())
    with pytest.raises(ConfigurationError, match=r"server\.workers must be 1 in production"):
        settings.refuse_unsafe(workers=2)
    with pytest.raises(ConfigurationError, match=r"command line: server\.workers must be 1"):
        here.load(_production(), overrides={"server": {"workers": 2}})


# --- the key of a development machine ---


ROUNDS = 40


def _start(folder: str, together: Any, results: Any) -> None:
    keys = []
    for number in range(ROUNDS):
        together.wait(30)
        keys.append(kept_secret_key(Path(folder) / f"var{number}" / "secret_key"))
    results.put(tuple(keys))


def test_servers_started_at_once_agree_on_one_key(tmp_path: Path) -> None:
    """Four processes that find no key at the same moment end with the same one, forty times."""
    context = multiprocessing.get_context("fork")
    results, together = context.Queue(), context.Barrier(4)
    arguments = (str(tmp_path), together, results)
    workers = [context.Process(target=_start, args=arguments) for _ in range(4)]
    for worker in workers:
        worker.start()
    found = {results.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join(timeout=30)
    assert len(found) == 1


def test_a_damaged_key_is_refused_and_an_open_one_closed(here: Deployment) -> None:
    """A short key file is named; one that others can read is closed to them."""
    (here.folder / "var").mkdir()
    here.write("var/secret_key", "abc")
    assert here.refusal() == "var/secret_key: damaged: delete it, and a new key is made"
    path = here.write("var/secret_key", KEY)
    path.chmod(0o644)
    here.load()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_keep_a_key_says_what_to_do(here: Deployment) -> None:
    """Where var/ cannot be made, the line names the variable that helps."""
    here.write("var", "a file")
    assert here.refusal().endswith("set TESSERA_APP__SECRET_KEY instead")


# --- secrets ---

SECRETS = st.text(
    alphabet="ABCDEFGHJKLMNPQRSTUVWXYZ0123456789!$'\"{}[]=,;", min_size=8, max_size=40
).map(lambda text: f"Zq{text}")
WRONGS = [
    {},
    {"TESSERA_SERVER__PORT": "abc"},
    {"TESSERA_SERVR__PORT": "1"},
    {"TESSERA_APP__ENVIRONMENT": "production"},
    {"TESSERA_APP__ENVIRONMENT": "nowhere"},
]
HOLDERS = [
    ("TESSERA_APP__SECRET_KEY", "{}"),
    ("TESSERA_APP__SECRET_KEI", "{}"),
    ("TESSERA_APP__SECRET_KEY__X", "{}"),
    ("TESSERA_DATABASE__URL", "postgresql+asyncpg://me:{}@db/x"),
    ("TESSERA_DATABASE__URL", "postgresql://me:{}@db/x"),
    ("TESSERA_DATABASE__URL", "postgresql+asyncpg://me:{}@db:x/x"),
    ("TESSERA_DATABASE__URL", "{}"),
    ("TESSERA_DATABASE__POOL_SIZE", "postgresql+asyncpg://me:{}@db/x"),
    ("TESSERA_REDIS__URL", "redis://:{}@cache/0"),
    ("TESSERA_REDIS__URL", "{}"),
    ("TESSERA_MODULES__PAY__API_KEY", "{}"),
]


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    secret=SECRETS,
    holder=st.sampled_from(HOLDERS),
    wrong=st.sampled_from(WRONGS),
    misplaced=st.booleans(),
)
def test_no_message_shows_a_secret(
    here: Deployment,
    secret: str,
    holder: tuple[str, str],
    wrong: dict[str, str],
    misplaced: bool,
) -> None:
    """Whatever else is wrong, neither an error nor a warning nor a repr holds the secret."""
    env = {holder[0]: holder[1].format(secret), **wrong}
    if misplaced:  # the same value a second time, where it is quoted as wrong
        env |= {"TESSERA_MODULES__PAY__PASSWORD": secret, "TESSERA_SERVER__WORKERS": secret}
    here.write("settings.toml", "")
    assert secret not in _all_that_is_said(env)


def _all_that_is_said(env: dict[str, str]) -> str:
    try:
        settings = load_settings(environ=env)
    except ConfigurationError as error:
        return str(error)
    sections = [repr(getattr(settings, s)) for s in Settings.model_fields if s != "modules"]
    return " ".join((*settings.warnings, *sections))


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('bootstrap_servers = "kafka"', "host:port"),
        ('bootstrap_servers = "a:9092,"', "host:port"),
        ('bootstrap_servers = "kafka://a:9092"', "host:port"),
        ('bootstrap_servers = "a:9092,b:99999"', "from 1 to 65535"),
        ('bootstrap_servers = "a:0"', "from 1 to 65535"),
        ('security_protocol = "SASL_SSL"', "needs sasl_username"),
        ('sasl_mechanism = "GSSAPI"', "sasl_mechanism"),
        ('topic_prefix = "Tessera."', "topic_prefix"),
    ],
)
def test_a_kafka_that_cannot_be_meant_is_refused(here: Deployment, toml: str, said: str) -> None:
    """An address without a possible port, a scheme, signing in as nobody: named in one line."""
    assert said in here.refusal(f"[kafka]\n{toml}")


def test_several_kafka_servers_are_taken(here: Deployment) -> None:
    """Addresses are hosts, numbers or IPv6, with ports, separated by commas."""
    servers = "kafka-1:9092, 10.0.0.2:9092,[::1]:9092"
    assert here.load(f'[kafka]\nbootstrap_servers = "{servers}"').kafka.bootstrap_servers == servers
