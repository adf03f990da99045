"""What modules did to this process for real, remembered for the next one.

A module whose step blocked the process or ended it, though it had passed its rehearsal, is noted in
``var/blocked.json`` and kept out as long as its files and settings are the same. The watchdog notes
the first; for the second the step under way is written down while modules start, and whoever starts
next finds the note of a process that is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from core import files, steps
from core.errors import ModuleFailure
from core.steps import Step

KEPT = Path("var/blocked.json")
UNDER_WAY = "under-way-*"
ROOM = 200
"""Bytes for the step under way, which is written in place."""

Fingerprints = Mapping[str, str | None]


def note(step: Step, what: str, fingerprints: Fingerprints) -> bool:
    """Remember what a module's step did; False where nothing can be kept."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    return _note(step.module, f"{step.doing} {what} at the start of {moment}", fingerprints)


def _note(module: str, reason: str, fingerprints: Fingerprints) -> bool:
    entry = {"reason": reason, "mark": fingerprints.get(module)}
    return files.write_json(KEPT, {**files.read_json(KEPT), module: entry})


def recall(fingerprints: Fingerprints) -> dict[str, ModuleFailure]:
    """The modules to keep out, of those with these fingerprints."""
    _bury_the_dead()
    remedy = f"mend it, or delete {KEPT} to try it once more"
    return {
        name: ModuleFailure(str(entry.get("reason")), remedy=remedy)
        for name, entry in files.read_json(KEPT).items()
        if isinstance(entry, dict) and name in fingerprints
        if entry.get("mark") == fingerprints[name]
    }


@contextlib.contextmanager
def writing(fingerprints: Fingerprints) -> Iterator[None]:
    """While the block lasts, the steps of these modules are written down as they are under way."""
    path = _own()
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    head = json.dumps({"at": moment, "marks": dict(fingerprints)}).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o644)
    except OSError:
        yield
        return

    begun = True

    def tell(step: Step | None) -> None:
        if not begun:  # a thread that was about to tell: the descriptor may be another's by now
            return
        known = step is not None and step.module in fingerprints and step.doing != steps.MIGRATION
        text = f"{step.module}\t{step.doing}" if step and known else ""
        os.pwrite(file, text.encode()[:ROOM].ljust(ROOM), len(head))

    try:
        os.pwrite(file, head, 0)
        with steps.listening(tell):
            yield
    finally:
        begun = False
        os.close(file)
        path.unlink(missing_ok=True)


def end_writing() -> None:
    """What is under way is known already: nobody needs to find it."""
    _own().unlink(missing_ok=True)


def _own() -> Path:
    return KEPT.parent / UNDER_WAY.replace("*", str(os.getpid()))


def _bury_the_dead() -> None:
    """Note the modules whose step ended a process, and clear away what it left."""
    for path in KEPT.parent.glob(UNDER_WAY):
        number = path.name.rpartition("-")[2]
        if not number.isdigit() or _is_another(int(number)):
            continue
        with contextlib.suppress(OSError, ValueError, LookupError, AttributeError):
            head, _, rest = path.read_text().partition("\n")
            before = json.loads(head)
            module, _, doing = rest.strip().partition("\t")
            if module:
                reason = f"{doing} ended the whole process at the start of {before['at']}"
                _note(module, reason, before["marks"])
        path.unlink(missing_ok=True)


def _is_another(pid: int) -> bool:
    """Whether another process of that number lives; of our own we know that it is not writing."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
