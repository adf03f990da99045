"""The house's measure: what one file may hold."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST = 400


def test_no_file_is_longer_than_one_can_read() -> None:
    """A Python file has 400 lines at most; a longer one is two things."""
    done = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("no git checkout")
    files = [ROOT / name for name in done.stdout.splitlines()]
    lines = {it: len(it.read_text(encoding="utf-8").splitlines()) for it in files if it.exists()}
    assert len(lines) > 100
    assert {str(it.relative_to(ROOT)): n for it, n in lines.items() if n > MOST} == {}
