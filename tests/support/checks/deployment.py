"""T9: the deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.checks.plots import Case, Plot, deployed, settings
from tests.support.plants import Garden


def kept(mode: int, text: str = "", **origins: str) -> Callable[[Garden], Mapping[str, str]]:
    """A settings file of that mode, which these settings came from."""

    def prepare(garden: Garden) -> Mapping[str, str]:
        path: Path = garden.folder / "settings.toml"
        path.write_text(text)
        path.chmod(mode)
        return {key.replace("__", "."): str(path) for key in origins}

    return prepare


def stored(mode: int, key: str) -> Plot:
    """A deployment with one setting in a file of that mode."""
    return Plot(settings=settings(), deploy=True, prepare=kept(mode, **{key: ""}))


def mailing(key: str) -> Plot:
    """A deployment with an option of a module that is not enabled, in a file for all to read."""
    modules = {"notifications": {"enabled": False, key: "shop-9f2KxQ"}}
    origin = f"modules__notifications__{key}"
    return Plot(
        settings={**settings(), "modules": modules},
        deploy=True,
        prepare=kept(0o644, **{origin: ""}),
    )


POSTGRESQL = "postgresql+asyncpg://{}@db/shop"
DEPLOYMENT = [
    Case(code, name, deployed(**bad), deployed(**good), at=at)
    for code, name, at, bad, good in (
        (
            "T901",
            "a key from a tutorial",
            "app.secret_key",
            {"app": {"secret_key": "secret" * 9}},
            {},
        ),
        ("T901", "debug", "app.debug", {"app": {"debug": True}}, {"app": {"debug": False}}),
        (
            "T901",
            "no events",
            "events.recording",
            {"events": {"recording": False}},
            {"events": {"recording": True}},
        ),
        ("T902", "docs", "server.docs", {"server": {"docs": True}}, {"server": {"docs": False}}),
        (
            "T903",
            "every origin",
            "cors.allowed_origins",
            {"cors": {"allowed_origins": ["*"]}},
            {"cors": {"allowed_origins": ["https://shop.example"]}},
        ),
        (
            "T904",
            "every proxy",
            "server.trusted_proxies",
            {"server": {"trusted_proxies": ["*"]}},
            {"server": {"trusted_proxies": ["10.0.0.0/8"]}},
        ),
        (
            "T904",
            "every address as a network",
            "server.trusted_proxies",
            {"server": {"trusted_proxies": ["0.0.0.0/0"]}},
            {"server": {"trusted_proxies": ["10.0.0.0/8", "fd00::/8"]}},
        ),
        (
            "T905",
            "a proxy on this machine",
            "server.trusted_proxies",
            {"server": {"trusted_proxies": []}},
            {"server": {"trusted_proxies": ["127.0.0.1"]}},
        ),
        ("T906", "one file", "database.url", {"database": {"url": "sqlite+aiosqlite:///x.db"}}, {}),
        (
            "T907",
            "caches apart",
            "redis.url",
            {"server": {"workers": 2}},
            {"server": {"workers": 2}, "redis": {"url": "redis://cache/0"}},
        ),
        (
            "T910",
            "statements",
            "database.echo",
            {"database": {"echo": True}},
            {"server": {"log_level": "warning"}},
        ),
        (
            "T911",
            "the user's name",
            "database.url",
            {"database": {"url": POSTGRESQL.format("shop:shop")}},
            {"database": {"url": POSTGRESQL.format("shop:shop-9f2KxQ")}},
        ),
        (
            "T912",
            "open to the network",
            "server.host",
            {"server": {"host": "0.0.0.0", "trusted_proxies": []}},
            {"server": {"host": "0.0.0.0"}},
        ),
    )
] + [
    Case(
        "T908",
        "a key for all to read",
        stored(0o644, "app__secret_key"),
        stored(0o640, "app__secret_key"),
        at="settings.toml",
    ),
    Case(
        "T908",
        "no secret in it",
        stored(0o644, "database__url"),
        stored(0o644, "database__pool_size"),
        at="settings.toml",
    ),
    Case(
        "T908",
        "a module's password",
        mailing("password"),
        mailing("username"),
        at="settings.toml",
    ),
    Case(
        "T909",
        "settings for all to write",
        stored(0o622, "database__pool_size"),
        stored(0o620, "database__pool_size"),
        at="settings.toml",
    ),
]
