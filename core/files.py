"""Small JSON files in ``var/``: read without trust, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger("tessera.files")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; an empty one where there is none, or something else."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, document: Mapping[str, Any]) -> bool:
    """Replace the file in one step; False where the folder cannot be written to."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        own = path.with_suffix(f".{os.getpid()}")
        own.write_text(json.dumps(document, indent=1))
        own.replace(path)
    except OSError as error:
        log.debug("this is not kept", file=str(path), reason=str(error))
        return False
    return True
