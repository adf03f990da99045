"""What modules did to this process for real, remembered for the next one.

A module whose step blocked the process or ended it, though it had passed its rehearsal, is noted in
``var/blocked.json`` and kept out as long as its files and settings are the same. The watchdog notes
the first; for the second the step under way is written down while modules start, and whoever starts
next finds the note of a process that is gone. It may have been killed from outside (no memory, an
impatient supervisor), so a module is suspected once and kept out from the second time on.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog

from core import files, steps
from core.errors import ModuleFailure
from core.steps import Step

log = structlog.get_logger("tessera.preflight")

KEPT = Path("var/blocked.json")
SUSPECTS = Path("var/suspects.json")
NOBODY: Mapping[str, str] = {"mark": "of no module"}
UNDER_WAY = "under-way-*"
ROOM = 200
"""Bytes for the step under way, which is written in place."""

Fingerprints = Mapping[str, str | None]


def note(step: Step, what: str, fingerprints: Fingerprints) -> bool:
    """Remember what a module's step did; False where nothing can be kept."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    return _note(
        step.module, f"{step.doing} {what} at the start of {moment}", fingerprints.get(step.module)
    )


def _note(module: str, reason: str, mark: str | None) -> bool:
    entry = {"reason": reason, "mark": mark}
    return files.write_json(KEPT, {**files.read_json(KEPT), module: entry})


def _suspect(module: str, reason: str, mark: str | None) -> None:
    """Note that a process ended in a module's step; the second time it is the module's doing."""
    suspects = files.read_json(SUSPECTS)
    if suspects.get(module, NOBODY).get("mark") == mark:
        forgive([module])
        _note(module, f"{reason}, the second time", mark)
        return
    log.warning(
        "a process ended while a module was at work; once more and it stays out",
        module=module,
        reason=reason,
    )
    files.write_json(SUSPECTS, {**suspects, module: {"reason": reason, "mark": mark}})


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


def forgive(modules: Iterable[str]) -> None:
    """Suspect these no longer: a start with them went well, and its first seconds too."""
    suspects = files.read_json(SUSPECTS)
    rest = {name: entry for name, entry in suspects.items() if name not in set(modules)}
    if rest != suspects:
        files.write_json(SUSPECTS, rest)


def end_writing() -> None:
    """What is under way is known already: nobody needs to find it."""
    _own().unlink(missing_ok=True)


def _own() -> Path:
    return KEPT.parent / UNDER_WAY.replace("*", str(os.getpid()))


def _bury_the_dead() -> None:
    """Note the modules whose step ended a process, and clear away what it left.

    What ended several at once (workers of one server) counts once.
    """
    suspected: dict[str, tuple[str, str | None]] = {}
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
                suspected[module] = reason, before["marks"].get(module)
        path.unlink(missing_ok=True)
    for module, (reason, mark) in suspected.items():
        _suspect(module, reason, mark)


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
