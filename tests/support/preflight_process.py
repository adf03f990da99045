"""The preflight in a process that may be copied, which `tests.support.tried` starts."""

from __future__ import annotations

import importlib
import pickle
import sys

from core import copies, preflight
from core.discovery import find


def main() -> None:
    """Answer the pickled question on standard input: the failures by module."""
    settings, kept, before, loaded = pickle.load(sys.stdin.buffer)
    sys.path[:0] = before
    for name in loaded:
        importlib.import_module(name)
    assert copies.can_be_made()
    found = find()
    modules = [found[name] for name in settings.modules if name in found]
    failures = preflight.inspect(modules, settings, kept=kept, copying=True)
    told = {name: (it.reason, it.remedy) for name, it in failures.items()}
    sys.stdout.buffer.write(pickle.dumps(told))


if __name__ == "__main__":
    main()
