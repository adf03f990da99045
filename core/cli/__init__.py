"""The command line: ``tessera …`` or ``python main.py …``.

Exit codes: 0 done, 1 refused or found something, 2 wrong usage or configuration.
"""

from __future__ import annotations

from core.cli.root import main

__all__ = ["main"]
