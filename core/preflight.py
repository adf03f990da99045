"""Find out in another process whether a module would end this one, or never return.

An import or a hook may call ``os._exit``, crash in C, or loop for ever; no ``except`` of ours helps
against that. So before modules are loaded for the first time a child process loads them and calls
their declaring hooks, telling of each step. When it dies or falls silent, the step it was at is the
module's reason, and the next child goes on with the others.

A module that passed is not asked again while its files are the same: the result is kept in
``var/preflight.json``, so that only a first start pays for the child.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import structlog

from core import DISTRIBUTION, discovery
from core.discovery import Found
from core.errors import ModuleFailure

if TYPE_CHECKING:
    from core.settings import Settings

log = structlog.get_logger("tessera.preflight")

STEP_SECONDS = 5.0
"""How long one step (an import, a hook) may work, or sleep."""
KEPT = Path("var/preflight.json")


def failures_of(settings: Settings) -> dict[str, ModuleFailure]:
    """The enabled modules that must not be loaded; none where the settings want no preflight."""
    wanted = settings.app.preflight
    if wanted is None:
        wanted = settings.app.environment != "test"
    if not wanted:
        return {}
    found = discovery.find()
    enabled = [found[n] for n, s in settings.modules.items() if s.enabled and n in found]
    # What came in one piece with core is as much to be trusted as core, which runs already.
    strangers = [module for module in enabled if module.distribution != DISTRIBUTION]
    return inspect(strangers, versions=list(settings.api.versions))


def inspect(
    modules: Sequence[Found], *, versions: Sequence[str], kept: Path = KEPT
) -> dict[str, ModuleFailure]:
    """The modules that must not be loaded into this process, each with its reason. Blocks."""
    known = _read(kept)
    marks = {module.id: fingerprint(module) for module in modules}
    unknown = [m for m in modules if marks[m.id] is None or known.get(m.id) != marks[m.id]]
    failures: dict[str, ModuleFailure] = {}
    waiting = [module.id for module in unknown]
    while waiting:
        passed, failed = _watch(waiting, versions)
        waiting = [name for name in waiting if name not in passed]
        if failed is not None:
            name, failure = failed
            failures[name] = failure
            waiting.remove(name)
        elif not passed:
            break  # the child could not begin at all: loading here will say why
    good = {m.id: mark for m in modules if m.id not in failures and (mark := marks[m.id])}
    if unknown:
        _write(kept, {**known, **good})
    return failures


def fingerprint(module: Found) -> str | None:
    """A mark that changes with the module's files; None when they cannot be found."""
    folder = _folder(module.entry_points[0].module)
    if folder is None:
        return None
    digest = hashlib.sha256(f"{sys.version} {module.version}".encode())
    for path in sorted(folder.rglob("*.py")):
        stat = path.stat()
        digest.update(f"{path} {stat.st_mtime_ns} {stat.st_size}\n".encode())
    return digest.hexdigest()


def _folder(dotted: str) -> Path | None:
    """The folder of a module, found without importing it, nor the packages above it."""
    top, *rest = dotted.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    for location in spec.submodule_search_locations or () if spec else ():
        folder = Path(location, *rest[:-1])
        if folder.is_dir():
            return folder
    return None


def _watch(
    names: Sequence[str], versions: Sequence[str]
) -> tuple[set[str], tuple[str, ModuleFailure] | None]:
    """Run one child: the modules that passed, and the one at which it died or fell silent."""
    command = [sys.executable, "-m", "core.preflight", ",".join(versions), *names]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment
    ) as child:
        passed, module, step, silent = _follow(child)
        if silent:
            child.kill()
        code = child.wait()
    if not module:
        return passed, None
    if silent:
        reason = f"{step} did not return within {STEP_SECONDS:.0f} s"
    else:
        reason = f"{step} ended the whole process ({_ending(code)})"
    return passed, (module, ModuleFailure(reason, remedy=f"mend {module}, or disable it"))


def _follow(child: subprocess.Popen[bytes]) -> tuple[set[str], str, str, bool]:
    """Read the child's steps: (passed, module under way, its step, whether it hangs)."""
    assert child.stdout is not None
    pipe = child.stdout.fileno()
    passed: set[str] = set()
    module = step = ""
    rest = b""
    patience = Patience(child.pid)
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(Patience.TICK):
                if patience.ends(started=bool(module)):
                    return passed, module, step, True
                continue
            # Read past Python's buffer: a line that lay in it would not wake the selector.
            read = os.read(pipe, 65536)
            if not read:
                return passed, module, step, False
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                patience = Patience(child.pid)
                name, _, what = line.decode().partition("\t")
                if what == "passed":
                    passed.add(name)
                module, step = ("", "") if what == "passed" else (name, what)


class Patience:
    """Tells a step that hangs from one that is only starved on a busy machine.

    A step hangs when it has used `STEP_SECONDS` of processor time, or slept as long, or after a
    minute in any case. Where there is no ``/proc``, waiting counts as sleeping.
    """

    TICK = 0.25
    LONGEST = 60.0

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._used_before = self._processor()[0]
        self._last = self._used_before
        self._slept = self._waited = 0.0

    def ends(self, *, started: bool) -> bool:
        """One more tick without a word. `started`: a module's step is under way, not core's."""
        used, asleep = self._processor()
        self._waited += self.TICK
        self._slept += self.TICK if asleep and used == self._last else 0.0
        self._last = used
        if not started:
            return self._waited >= self.LONGEST
        used_up = used - self._used_before >= STEP_SECONDS
        return used_up or self._slept >= STEP_SECONDS or self._waited >= self.LONGEST

    def _processor(self) -> tuple[float, bool]:
        """(seconds of processor time used so far, whether the process sleeps)."""
        try:
            fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0, True
        ticks = int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK"), fields[0] != "R"


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, marks: Mapping[str, str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        own = path.with_suffix(f".{os.getpid()}")
        own.write_text(json.dumps(marks, indent=1))
        own.replace(path)
    except OSError as error:
        log.debug("the result of the preflight is not kept", reason=str(error))


def _load_all(versions: Iterable[str], names: Iterable[str], say: IO[str]) -> None:
    """The child: load each module and call the hooks that only declare, telling of each step."""
    import core.plugin  # noqa: F401 - its import is core's time, not the first module's
    from core.hooks import Hooks

    found = discovery.find()
    for name in names:
        print(f"{name}\tits import", file=say, flush=True)
        try:
            hooks = Hooks(name, discovery.load(found[name]))
            for hook in ("manifest", "settings", "tables", "migrations", "permissions", "services"):
                print(f"{name}\tits hook {hook}()", file=say, flush=True)
                hooks.call(hook)
            for version in versions:
                print(f"{name}\tits hook routers()", file=say, flush=True)
                hooks.call("routers", version=version)
        except (ModuleFailure, KeyError):
            pass  # an honest exception: the loading process meets it again and tells of it
        print(f"{name}\tpassed", file=say, flush=True)


if __name__ == "__main__":
    # What a module prints must not be taken for a step.
    steps = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _load_all(sys.argv[1].split(","), sys.argv[2:], steps)
