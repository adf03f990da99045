"""What went wrong at the last start, kept for the command line.

`tessera modules list` builds the modules but starts none of them: a migration or a lifespan that
failed in the server would be unknown to it. The server notes such failures in
``var/last-start.json``, and each start writes the file anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog

from core.errors import ModuleFailure

log = structlog.get_logger("tessera.generation")
KEPT = Path("var/last-start.json")


def note(failures: Mapping[str, ModuleFailure], *, path: Path = KEPT) -> None:
    """Keep the failures of this start; where the folder cannot be written to, nothing is kept."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    document = {
        name: {"reason": failure.reason, "remedy": failure.remedy, "at": moment}
        for name, failure in failures.items()
    }
    try:
        if not document and not path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        own = path.with_suffix(f".{os.getpid()}")
        own.write_text(json.dumps(document, indent=1))
        own.replace(path)
    except OSError as error:
        log.debug("the failures of this start are not kept", reason=str(error))


def recall(*, path: Path = KEPT) -> dict[str, ModuleFailure]:
    """The failures of the last start in this folder, with its time in the reason."""
    try:
        document = json.loads(path.read_text())
        return {
            name: ModuleFailure(
                f"{entry['reason']} (at the start of {entry['at']})", remedy=entry["remedy"]
            )
            for name, entry in document.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
