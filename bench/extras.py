"""Libraries of other contenders, kept apart from those that Tessera is pinned to."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from bench.machine import RigError

HOME = Path(__file__).resolve().parent
PINS = HOME / "requirements.txt"
PACKAGES = HOME / ".packages"


def packages() -> Path:
    """The folder with what bench/requirements.txt names; installed when it is not there yet.

    Raises RigError when that cannot be done.
    """
    stamp = PACKAGES / f"{hashlib.sha256(PINS.read_bytes()).hexdigest()[:16]}.stamp"
    if not stamp.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        where = ["--require-hashes", "-r", str(PINS), "--upgrade", "--target", str(PACKAGES)]
        done = subprocess.run([*pip, *where], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RigError(f"bench/requirements.txt could not be installed: {done.stderr.strip()}")
        stamp.touch()
    return PACKAGES
