"""What must not go into production, and the key that development makes for itself."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import ConfigurationError

if TYPE_CHECKING:
    from core.settings import Settings

SECRET_KEY_FILE = Path("var/secret_key")
KEY_LENGTH = 32

_SAMPLES = re.compile(
    r"(changeme|changethis|replaceme|yoursecret|secret|supersecret|mysecret|example|insecure|"
    r"djangoinsecure|development|devsecret|test|tessera|password|default|"
    # The key in FastAPI's tutorial, which is copied more than any other.
    r"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7).*"
)


def production_faults(settings: Settings, *, workers: int) -> Iterator[str]:
    """What stops a start in production, one sentence each, without any value."""
    yield from _key_faults(settings)
    if settings.app.debug:
        yield f"{_at(settings, 'app.debug')} must be false in production"
    if "*" in settings.cors.allowed_origins and settings.cors.allow_credentials:
        where = _at(settings, "cors.allowed_origins")
        yield f'{where} must name the origins in production: "*" with cors.allow_credentials'
    if not settings.events.recording:
        where = _at(settings, "events.recording")
        yield f"{where} must be true in production: without it every event is lost"
    if settings.database.is_sqlite and workers > 1:
        where = _at(settings, "server.workers")
        yield f"{where} must be 1 in production on SQLite, or database.url name PostgreSQL"


def _key_faults(settings: Settings) -> Iterator[str]:
    key = settings.app.secret_key.get_secret_value()
    where = _at(settings, "app.secret_key")
    if not key:
        yield (
            f"app.secret_key is not set and app.environment is production: set "
            f"TESSERA_APP__SECRET_KEY to {KEY_LENGTH} random characters or more"
        )
    elif _is_well_known(key):
        yield f"{where} is a well-known or guessable value: make a random one"
    elif len(key) < KEY_LENGTH:
        yield f"{where} has {len(key)} characters: production needs {KEY_LENGTH} or more"


def _is_well_known(key: str) -> bool:
    plain = re.sub(r"[^a-z0-9]", "", key.lower())
    return bool(_SAMPLES.fullmatch(plain)) or (len(key) >= KEY_LENGTH and len(set(key)) < 8)


def _at(settings: Settings, key: str) -> str:
    origin = settings.origins.get(key, "default")
    return key if origin == "default" else f"{origin}: {key}"


# --- the key of a development machine ---


def kept_secret_key(path: Path = SECRET_KEY_FILE) -> str:
    """The key in `path`, made now when there is none; servers started at once agree on one.

    Raises ConfigurationError when the file cannot be made or read, or is damaged.
    """
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_text(encoding="ascii").strip()
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise ConfigurationError(
            f"{path}: the secret key of this machine cannot be kept here: {why}; "
            "set TESSERA_APP__SECRET_KEY instead"
        ) from None
    if len(key) < KEY_LENGTH:
        raise ConfigurationError(f"{path}: damaged: delete it, and a new key is made")
    return key


def _make_key(path: Path) -> None:
    """Write the whole key aside, then link it into place: one of several wins, none is half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=".secret_key-")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(path).hardlink_to(aside)
    except FileExistsError:
        pass
    finally:
        Path(aside).unlink(missing_ok=True)
