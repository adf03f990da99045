"""Two tiers of a test: seconds in CI, minutes with `make soak`; and chance that comes again."""

from __future__ import annotations

import json
import os
import platform
import random
import time
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
SOAK = os.environ.get("TESSERA_SOAK") == "1"
REPORT = os.environ.get("TESSERA_SOAK_REPORT", "")
"""A file to which each row of the soak adds a line; `dev/soak.py` makes soak/RESULTS.md of it."""


def tier(ci: T, soak: T) -> T:
    """The size of a run."""
    return soak if SOAK else ci


def chance() -> random.Random:
    """TESSERA_TEST_SEED makes a run what another one was, as far as processes let it."""
    seed = int(os.environ.get("TESSERA_TEST_SEED") or random.randrange(10**6))
    print(f"TESSERA_TEST_SEED={seed}")
    return random.Random(seed)


def note(row: str, **figures: Any) -> None:
    """Say what a row has measured, and keep it where a report is wanted."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    said = {"row": row, "test": test, "tier": tier("ci", "soak"), **figures}
    print(json.dumps(said))
    if REPORT:
        machine = {"cpus": os.cpu_count(), "python": platform.python_version()}
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        with Path(REPORT).open("a") as report:
            report.write(json.dumps({**said, "at": at, **machine}) + "\n")
