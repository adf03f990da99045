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
from typing import IO

import structlog

from core.discovery import Found
from core.errors import ModuleFailure

log = structlog.get_logger("tessera.preflight")

STEP_SECONDS = 8.0
"""How long one step (an import, a hook) may take."""
KEPT = Path("var/preflight.json")


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
        assert child.stdout is not None
        passed, module, step, silent = _follow(child.stdout)
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


def _follow(pipe: IO[bytes]) -> tuple[set[str], str, str, bool]:
    """Read the child's steps: (passed, module under way, its step, whether it fell silent)."""
    passed: set[str] = set()
    module = step = ""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            # A child needs a while to import core before its first word, more on a busy machine.
            if not selector.select(STEP_SECONDS if module else 60.0):
                return passed, module, step, True
            # Read past Python's buffer: a line that lay in it would not wake the selector.
            read = os.read(pipe.fileno(), 65536)
            if not read:
                return passed, module, step, False
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                name, _, what = line.decode().partition("\t")
                if what == "passed":
                    passed.add(name)
                module, step = ("", "") if what == "passed" else (name, what)


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
    from core import discovery
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
