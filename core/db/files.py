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


def prepare(database: str) -> None:
    """Make the folder of a database where it is missing, and see whether the file can be used.

    SQLite would not say why it cannot. The file is not opened to find out: closing it again would
    end the locks that SQLite's own connections of this process hold on it.

    Raises ConfigurationError when it cannot be made, Unavailable when that may pass.
    """
    try:
        Path(database).parent.mkdir(parents=True, exist_ok=True)
        _look_at(Path(database))
    except FileExistsError:
        raise unusable(database, f"{Path(database).parent} is no folder") from None
    except OSError as error:
        raise unusable(database, error) from error


def _look_at(file: Path) -> None:
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def unusable(path: str, why: OSError | str) -> TesseraError:
    """The error for a file that cannot be used; Unavailable where waiting may help."""
    reason = (why.strerror or str(why)) if isinstance(why, OSError) else why
    words = f"database.url: {path} cannot be used: {reason}"
    if isinstance(why, OSError) and why.errno in EXHAUSTED:
        return Unavailable("The database is too busy just now.", for_operators=words)
    return ConfigurationError(words)


def explain(error: Exception, path: str) -> TesseraError | None:
    """What SQLite's error says about the file, if anything."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without its extended part
    if code not in CODES:
        return None
    return unusable(
        path, "it is no SQLite database" if code == sqlite3.SQLITE_NOTADB else str(error)
    )
