"""Find out in another process whether a module would end this one, or never return.

An import, a hook, a factory, a migration or a lifespan may call ``os._exit``, crash in C, or block
for ever; no ``except`` of ours helps against that. So modules that core does not bring are first
tried in a child process (`core.trials`), which loads them, asks them and starts them with what they
require. When it dies or falls silent, the step it was at is the module's reason.

A module that passed is not tried again while its files and settings are the same: the result is
kept in ``var/preflight.json``, so that only a first start pays for the child. What hangs or ends
the process all the same, because it does so only for real, is remembered by `core.marks`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import structlog

from core import DISTRIBUTION, __version__, discovery, files, marks
from core.discovery import Found, module_of
from core.errors import ModuleFailure
from core.marks import Fingerprints
from core.settings_errors import is_secret

if TYPE_CHECKING:
    from core.copies import Copy
    from core.settings import Settings
    from core.trials import Question

log = structlog.get_logger("tessera.preflight")

LATER_SECONDS = 20.0
"""How long after its forks the child may end; it does so by itself before."""
BELIEVED_SECONDS = 60.0
"""How long a module that failed is not tried again: several workers, or commands, ask at once."""
KEPT = Path("var/preflight.json")


def wanted(settings: Settings, *, unset: bool | None = None) -> bool:
    """Whether modules are to be tried before they are loaded.

    `unset` decides where the settings do not say; by default all environments but ``test`` want it.
    """
    chosen = settings.app.preflight if settings.app.preflight is not None else unset
    return settings.app.environment != "test" if chosen is None else chosen


def failures_of(settings: Settings, *, unset: bool | None = None) -> dict[str, ModuleFailure]:
    """The enabled modules that must not be loaded; none where no preflight is `wanted`. Blocks."""
    return begin(settings, unset=unset)()


def begin(
    settings: Settings, *, unset: bool | None = None, copying: bool = False
) -> Callable[[], dict[str, ModuleFailure]]:
    """Begin to look for them; what it gives waits for the end, and gives the failures.

    `copying` says that copies of this process can be made (`core.copies`): where it has loaded none
    of the modules yet the child is one, which is spared a second's imports.
    """
    if not wanted(settings, unset=unset):
        return dict
    enabled = _enabled(settings)
    prints = {module.id: fingerprint(module, settings) for module in enabled}
    failures = marks.recall(prints)
    strangers = [m for m in enabled if not _is_ours(m) and m.id not in failures]
    rest = _begin(strangers, prints, settings, copying=copying)
    return lambda: failures | rest()


def fingerprints_of(settings: Settings) -> tuple[Fingerprints, Fingerprints]:
    """The fingerprint of each enabled module, and those alone of what did not come with core.

    None where the settings want no preflight.
    """
    enabled = _enabled(settings) if wanted(settings) else []
    every = {module.id: fingerprint(module, settings) for module in enabled}
    return every, {m.id: every[m.id] for m in enabled if not _is_ours(m)}


def _is_ours(module: Found) -> bool:
    """What came in one piece with core is as much to be trusted as core, which runs already."""
    return module.distribution == DISTRIBUTION


def _enabled(settings: Settings) -> list[Found]:
    found = discovery.find()
    return [found[n] for n, s in settings.modules.items() if s.enabled and n in found]


def _begin(
    modules: Sequence[Found], prints: Fingerprints, settings: Settings, *, copying: bool
) -> Callable[[], dict[str, ModuleFailure]]:
    known = _Known(KEPT)
    reasons = {m.id: why for m in modules if (why := known.reason(m.id, prints[m.id]))}
    unknown = [m for m in modules if m.id not in reasons and not known.passed(m.id, prints[m.id])]
    end = None
    if unknown:
        copying = copying and not any(map(_is_loaded, unknown))
        end = _begin_trying([module.id for module in unknown], settings, copying=copying)

    def rest() -> dict[str, ModuleFailure]:
        if end is not None:
            passed, failed = end()
            known.note(prints, passed=passed, failed=failed)
            reasons.update(failed)
        limit = f" {settings.app.preflight_seconds:g} s"
        return {name: _failure(name, why, slow=limit in why) for name, why in reasons.items()}

    return rest


def _is_loaded(module: Found) -> bool:
    """Whether this process has begun to import it, in part or whole."""
    return module_of(module.entry_points[0]).partition(".")[0] in sys.modules


def _failure(name: str, reason: str, *, slow: bool) -> ModuleFailure:
    """`slow`: the reason names the limit, which the module may have passed by honest work."""
    ways = "disable it, or raise app.preflight_seconds" if slow else "or disable it"
    return ModuleFailure(reason, remedy=f"mend {name}, {ways}")


def fingerprint(module: Found, settings: Settings) -> str | None:
    """A mark that changes with the module's files and settings; None when it has no files."""
    place = _place(module_of(module.entry_points[0]))
    if place is None:
        return None
    digest = hashlib.sha256(f"{sys.version} {__version__} {module.version}".encode())
    digest.update(f" {settings.app.preflight_seconds:g}\n".encode())  # raised: try it once more
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        with contextlib.suppress(OSError):  # an editor's lock, or gone while pip is at work
            stat = path.stat()
            told = f"{path} {stat.st_mtime_ns} {stat.st_size}\n"
            digest.update(told.encode("utf-8", "surrogateescape"))
    section = settings.modules.get(module.id)
    options = dict(section.options) if section else {}
    # Not the secrets: a short one could be guessed from its digest.
    open_to_all = {name: value for name, value in options.items() if not is_secret(name)}
    digest.update(repr(sorted(open_to_all.items())).encode())
    return digest.hexdigest()


def _place(dotted: str) -> Path | None:
    """The folder of a module, or its only file; found without importing it, nor what is above."""
    top, *rest = dotted.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except Exception:  # a finder may be a stranger's
        return None
    for location in spec.submodule_search_locations or () if spec else ():
        folder = Path(location, *rest[:-1])
        if folder.is_dir():
            return folder
    file = Path(spec.origin) if spec and spec.origin else None
    return file if file and file.is_file() else None


def _begin_trying(
    names: Sequence[str], settings: Settings, *, copying: bool
) -> Callable[[], tuple[list[str], dict[str, str]]]:
    """Have a child try these; what it gives waits for those that passed, and those at fault."""
    from core import trials

    question = trials.Question(settings, list(names), settings.app.preflight_seconds)
    try:
        told = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the child
        copy = trials.answer_in_copy(question, told.fileno()) if copying else None
    except OSError as error:
        return partial(_untried, error)
    return partial(_end_trying, question, told, copy)


def _end_trying(
    question: Question, told: IO[bytes], copy: Copy | None
) -> tuple[list[str], dict[str, str]]:
    """`told` is a file, for a pipe ends only when all have closed it that modules have started."""
    limit = question.alarm_seconds + LATER_SECONDS
    try:
        with told:
            if copy is None:
                _answer_in_new_process(question, told.fileno(), seconds=limit)
            else:
                copy.wait(seconds=limit)
            told.seek(0)
            answer = json.load(told)
        return answer["passed"], answer["failed"]
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
        return _untried(error)


def _untried(error: Exception) -> tuple[list[str], dict[str, str]]:
    log.warning("modules could not be tried in another process", reason=str(error))
    return [], {}  # loading here will say why


def _answer_in_new_process(question: Question, told: int, *, seconds: float) -> None:
    subprocess.run(
        [sys.executable, "-m", "core.trials"],
        input=pickle.dumps(question),
        stdout=told,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        timeout=seconds,
        check=True,
    )


class _Known:
    """What earlier children found, by module and fingerprint."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, dict[str, Any]] = files.read_json(path)

    def _entry(self, name: str, mark: str | None) -> Mapping[str, Any]:
        entry = self._found.get(name)
        same = mark is not None and isinstance(entry, dict) and entry.get("mark") == mark
        return entry if same and entry else {}

    def passed(self, name: str, mark: str | None) -> bool:
        """Whether the module passed, as it is now."""
        return self._entry(name, mark).get("passed") is True

    def reason(self, name: str, mark: str | None) -> str:
        """Why the module failed a moment ago, as it is now; empty when it did not."""
        entry = self._entry(name, mark)
        recent = 0 <= time.time() - float(entry.get("at", 0)) < BELIEVED_SECONDS
        return str(entry.get("reason", "")) if recent else ""

    def note(
        self,
        prints: Mapping[str, str | None],
        *,
        passed: Sequence[str],
        failed: Mapping[str, str],
    ) -> None:
        """Keep what a child found, where there is a place for it."""
        for name, mark in prints.items():
            if name in passed:
                self._found[name] = {"mark": mark, "passed": True}
            elif name in failed:
                self._found[name] = {"mark": mark, "reason": failed[name], "at": time.time()}
        files.write_json(self._path, self._found)
