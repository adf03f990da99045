"""AsyncAPI's own parser, from npm: installed on demand below var/, asked through node."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT

HOME = ROOT / "dev" / "asyncapi"
CACHE = ROOT / "var" / "asyncapi"
INSTALL = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts")


def parse(document: Any) -> dict[str, Any]:
    """What the parser says: ``version``, ``operations``, and ``told``, its complaints.

    Skips where there is no node, and fails where TESSERA_TEST_REQUIRE names ``asyncapi``.
    """
    folder = _installed()
    done = subprocess.run(
        ["node", str(HOME / "validate.mjs"), str(folder)],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _installed() -> Path:
    """The folder in which the parser lies, in the version that package.json pins."""
    if not (shutil.which("node") and shutil.which("npm")):
        _without("there is no node with npm")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers of the suite may want it at once
        wanted = (HOME / "package.json").read_text()
        there = CACHE / "node_modules" / "@asyncapi" / "parser" / "package.json"
        pinned = json.loads(wanted)["dependencies"]["@asyncapi/parser"]
        if not there.is_file() or json.loads(there.read_text())["version"] != pinned:
            (CACHE / "package.json").write_text(wanted)
            done = subprocess.run(
                INSTALL, cwd=CACHE, capture_output=True, text=True, timeout=400, check=False
            )
            if done.returncode:
                _without(f"npm could not install AsyncAPI's parser: {done.stderr[-500:]}")
    return CACHE


def _without(reason: str) -> None:
    if "asyncapi" in os.environ.get("TESSERA_TEST_REQUIRE", ""):
        pytest.fail(f"AsyncAPI's parser is required, and {reason}")
    pytest.skip(reason)
