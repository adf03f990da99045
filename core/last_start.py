"""What went wrong at the last start, kept for the command line.

`tessera modules list` builds the modules but starts none of them: a migration or a lifespan that
failed in the server would be unknown to it. The server notes such failures in
``var/last-start.json``, and each start writes the file anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from core import files
from core.errors import ModuleFailure

KEPT = Path("var/last-start.json")


def note(failures: Mapping[str, ModuleFailure], *, path: Path = KEPT) -> None:
    """Keep the failures of this start; where the folder cannot be written to, nothing is kept."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    document = {
        name: {"reason": failure.reason, "remedy": failure.remedy, "at": moment}
        for name, failure in failures.items()
    }
    if document or path.exists():
        files.write_json(path, document)


def recall(*, path: Path = KEPT) -> dict[str, ModuleFailure]:
    """The failures of the last start in this folder, with its time in the reason."""
    try:
        return {
            name: ModuleFailure(
                f"{entry['reason']} (at the start of {entry['at']})", remedy=entry["remedy"]
            )
            for name, entry in files.read_json(path).items()
        }
    except (TypeError, KeyError):
        return {}
