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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `dev/test` runs at another time, and spread the files that take long.

    Each file is one worker's: the last one shall not be a long one, nor shall all of those be at
    work at once.
    """
    if (wanted := os.environ.get("TESSERA_TEST_ALONE")) in ("no", "yes"):
        parts: dict[str, list[pytest.Item]] = {"no": [], "yes": []}
        for item in items:
            parts["yes" if item.get_closest_marker("alone") else "no"].append(item)
        items[:] = parts.pop(wanted)
        config.hook.pytest_deselected(items=[item for part in parts.values() for item in part])
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    long = [path for path, _ in slow.most_common()]
    short = [path for path in dict.fromkeys(item.path for item in items) if path not in slow]
    place = {path: (number + 1) / len(short) for number, path in enumerate(short)}
    place |= {path: number / len(long) for number, path in enumerate(long)}
    items.sort(key=lambda item: place[item.path])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one place which real servers the suite did without."""
    missing = [name for name, variable in SERVERS.items() if not os.environ.get(variable)]
    if missing:
        terminalreporter.section("servers that were missing")
        terminalreporter.line(
            f"{', '.join(missing)}: what needs them was skipped; `make services` starts them"
        )
