"""The file of a SQLite database, when it cannot be used: which, and why."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from core.errors import ConfigurationError, TesseraError, Unavailable

CODES = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY)
"""SQLite's errors that are about the file and not about a statement."""
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What keeps a file from being opened and is no fault of its path."""


def make_folder(database: str) -> None:
    """Make the folder of a database where it is missing.

    Raises ConfigurationError when it cannot be made, Unavailable when that may pass.
    """
    try:
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise unusable(database, f"{Path(database).parent} is no folder") from None
    except OSError as error:
        raise unusable(database, error) from error


def unusable(path: str, why: OSError | str) -> TesseraError:
    """The error for a file that cannot be used; Unavailable where waiting may help."""
    reason = (why.strerror or str(why)) if isinstance(why, OSError) else why
    words = f"database.url: {path} cannot be used: {reason}"
    if isinstance(why, OSError) and why.errno in EXHAUSTED:
        return Unavailable("The database is too busy just now.", for_operators=words)
    return ConfigurationError(words)


def explain(error: Exception, path: str) -> TesseraError | None:
    """What SQLite's error says about the file, if anything.

    SQLite does not say why a file cannot be opened; the operating system does when asked.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without its extended part
    if code not in CODES:
        return None
    if code == sqlite3.SQLITE_NOTADB:
        return unusable(path, "it is no SQLite database")
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError as refused:
        return unusable(path, refused)
    return unusable(path, str(error))
