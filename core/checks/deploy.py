"""``--deploy``: the settings judged as production's, whatever environment they name."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import make_url

from core.checks.finding import CORE, Finding, found
from core.checks.responses import sounds_secret
from core.settings import Settings
from core.settings_guards import SECRET_KEY_FILE, production_faults

_NOT_SET = ("default", "made for this process", str(SECRET_KEY_FILE))
SECRETS = ("app.secret_key", "database.url", "redis.url", "kafka.sasl_password")
_GUESSED = re.compile(
    r"(postgres|postgresql|password|secret|admin|root|tessera|change.?me|1234\d*)?"
)


def as_production(settings: Settings) -> Settings:
    """The same settings in production, without a key that only this machine has made itself."""
    update: dict[str, object] = {"environment": "production"}
    if settings.origins.get("app.secret_key", "default") in _NOT_SET:
        update["secret_key"] = SecretStr("")
    app = settings.app.model_copy(update=update)
    judged = settings.model_copy(update={"app": app})
    judged._origins = dict(settings.origins)
    return judged


def check_deployment(settings: Settings) -> Iterator[Finding]:
    """T901 to T912. `settings` are those of `as_production`."""
    for fault in production_faults(settings, workers=settings.server.workers):
        key = re.search(r"\b[a-z]+\.[a-z_]+\b", fault)
        yield _found(
            "T901", key[0] if key else "settings", fault, "the start is refused until then"
        )
    yield from _server(settings)
    yield from _data(settings)
    yield from _files(settings)


def _found(code: str, place: str, reason: str, remedy: str) -> Finding:
    return found(code, module=CORE, place=place, reason=reason, remedy=remedy)


def _server(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    if server.docs:
        yield _found(
            "T902",
            "server.docs",
            "docs and schema are served in production, to everybody",
            "leave server.docs unset, unless your consumers read them there",
        )
    if "*" in settings.cors.allowed_origins:
        yield _found(
            "T903",
            "cors.allowed_origins",
            '"*" lets every web page call the API from its visitors\' browsers',
            "name the origins",
        )
    if every := {"*", "0.0.0.0/0", "::/0"}.intersection(server.trusted_proxies):
        yield _found(
            "T904",
            "server.trusted_proxies",
            f'"{min(every)}" lets every caller say from which address it comes: throttles and logs '
            "believe it",
            "name the proxies' addresses or networks",
        )
    if not server.trusted_proxies:
        yield _unproxied(server.host)


def _unproxied(host: str) -> Finding:
    if _is_loopback(host):
        return _found(
            "T905",
            "server.trusted_proxies",
            f"it listens on {host}, so a proxy is in front, and it is not trusted: to throttles "
            "and logs every caller has the proxy's address",
            'name it: trusted_proxies = ["127.0.0.1"]',
        )
    return _found(
        "T912",
        "server.host",
        f"it listens on {host} without a proxy: passwords and tokens travel in clear, and browsers "
        "ignore Strict-Transport-Security over plain HTTP (RFC 6797, 8.1)",
        "let a proxy speak TLS in front, and name it in server.trusted_proxies",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _data(settings: Settings) -> Iterator[Finding]:
    if settings.database.is_sqlite:
        yield _found(
            "T906",
            "database.url",
            "SQLite is one file on one machine: one writer at a time, no second server",
            "use PostgreSQL, unless one small machine is all there will be",
        )
    elif _is_guessed(settings.database.url):
        yield _found(
            "T911",
            "database.url",
            "its password is missing, well known, or the user's name",
            "make a random one; for the socket or peer authentication, silence this",
        )
    if settings.server.workers > 1 and not settings.redis.url:
        yield _found(
            "T907",
            "redis.url",
            f"{settings.server.workers} workers, and each has a cache of its own that the others' "
            "changes do not reach",
            "name a Redis",
        )
    if settings.database.echo or settings.server.log_level == "debug":
        key = "database.echo" if settings.database.echo else "server.log_level"
        yield _found(
            "T910",
            key,
            "the log will hold statements and values, personal data among them",
            "switch it off; a request id finds what you need",
        )


def _is_guessed(url: str) -> bool:
    made = make_url(url)
    password = str(made.password or "").lower()
    return bool(_GUESSED.fullmatch(password)) or password == (made.username or "").lower()


# --- files ---


def _files(settings: Settings) -> Iterator[Finding]:
    origins = settings.origins
    for path in sorted({p for o in origins.values() if (p := _file(settings, o)) is not None}):
        mode = path.stat().st_mode
        if mode & 0o002:
            yield _found(
                "T909",
                str(path),
                "every user of the machine may change these settings",
                f"chmod o-w {path}",
            )
        held = [key for key in _secrets(settings) if _file(settings, origins.get(key, "")) == path]
        if held and mode & 0o004 and not _is_mounted(path):
            yield _found(
                "T908",
                str(path),
                f"it holds {', '.join(held)}, and every user of the machine may read it",
                f"chmod 600 {path}, or set it in the environment",
            )


def _file(settings: Settings, origin: str) -> Path | None:
    """The file that a setting came from; None when it came from elsewhere."""
    place, _, name = origin.rpartition(" ")
    if place == "secrets directory":
        path = Path(settings.app.secrets_dir) / name
    elif place == ".env":
        path = Path(".env")
    else:
        path = Path(origin)
    return path if origin and path.is_file() else None


def _secrets(settings: Settings) -> list[str]:
    """The keys of all settings that hold a secret, of modules those that are named like one."""
    own = [key for key in SECRETS if _holds_secret(settings, key)]
    of_modules = [
        f"modules.{module}.{key}"
        for module, section in settings.modules.items()
        for key, value in section.options.items()
        if value and isinstance(value, str) and sounds_secret(key)
    ]
    return own + of_modules


def _holds_secret(settings: Settings, key: str) -> bool:
    section, _, name = key.partition(".")
    value = getattr(getattr(settings, section), name)
    if isinstance(value, SecretStr):
        return bool(value.get_secret_value())
    return bool(re.search(r"://[^/@]*:[^/@]+@", value))


def _is_mounted(path: Path) -> bool:
    """Container engines mount secrets as 0444 into a container with one user."""
    return path.is_relative_to("/run/secrets")
