"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.plants import Garden


@pytest.fixture
def garden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Garden:
    """A folder on sys.path in which to plant distributions."""
    folder = tmp_path / "garden"
    folder.mkdir()
    return Garden(folder, monkeypatch)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A fresh SQLite file."""
    return f"sqlite+aiosqlite:///{tmp_path / 'tessera.db'}"
