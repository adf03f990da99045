"""The preflight in a process that may be copied, which `tests.support.tried` starts."""

from __future__ import annotations

import importlib
import pickle
import sys

from core import copies, preflight


def main() -> None:
    """Answer the pickled question on standard input: the failures by module."""
    settings, before, loaded = pickle.load(sys.stdin.buffer)
    sys.path[:0] = before
    for name in loaded:
        importlib.import_module(name)
    assert copies.can_be_made()
    failures = preflight.begin(settings, unset=True, copying=True)()
    told = {name: (it.reason, it.remedy) for name, it in failures.items()}
    sys.stdout.buffer.write(pickle.dumps(told))


if __name__ == "__main__":
    main()
