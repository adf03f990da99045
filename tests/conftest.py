"""What every test may use."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.support.kafka import broker, kafka, topic_prefix
from tests.support.plants import Garden

__all__ = ("broker", "kafka", "topic_prefix")


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


SERVERS = {
    "PostgreSQL": "TESSERA_TEST_POSTGRES_URL",
    "Redis": "TESSERA_TEST_REDIS_URL",
    "Kafka": "TESSERA_TEST_KAFKA_SERVERS",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with most slow tests first: each is one worker's, and the last is not to be long."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one place which real servers the suite did without."""
    missing = [name for name, variable in SERVERS.items() if not os.environ.get(variable)]
    if missing:
        terminalreporter.section("servers that were missing")
        terminalreporter.line(
            f"{', '.join(missing)}: what needs them was skipped; `make services` starts them"
        )
