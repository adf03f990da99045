"""The preflight of planted modules, by each way to make the child in which they are tried."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from core import preflight
from core.errors import ModuleFailure
from core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
Failures = dict[str, ModuleFailure]
Inspect = Callable[[Settings], Failures]


def by_a_new_interpreter(settings: Settings) -> Failures:
    """As a server does it that serves already, or a command."""
    return preflight.failures_of(settings, unset=True)


def by_a_copy(
    settings: Settings, *, before: Sequence[str] = (), loaded: Sequence[str] = ()
) -> Failures:
    """As a server does it that starts. `before` are the first entries of its search path, `loaded`
    what it has imported."""
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "support" / "preflight_process.py")],
        input=pickle.dumps((settings, [*before], [*loaded])),
        env={**os.environ, "PYTHONPATH": path if not before else str(ROOT)},
        stdout=subprocess.PIPE,
        timeout=100,
        check=True,
    )
    told = pickle.loads(done.stdout)
    return {name: ModuleFailure(why, remedy=remedy) for name, (why, remedy) in told.items()}
