"""Background tasks of FastAPI in a real server: the example of the docs, its tail made slow."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Installation, Server
from tests.support.rows import query
from tests.support.written import AuthorsTree, shown_files

pytestmark = pytest.mark.timeout(300)
SLOW = 1.5
"""Seconds that the tail takes its time."""


@pytest.fixture
def guestbook(tmp_path: Path) -> Installation:
    """A deployment with the guestbook of the docs, whose tail begins with a pause."""
    files = shown_files(ROOT / "docs" / "examples" / "background-tasks.md")
    service = "tessera_guestbook/service.py"
    opened = "        async with self._context.write()"
    assert opened in files[service]
    paused = files[service].replace(opened, f"        await asyncio.sleep({SLOW})\n{opened}")
    tree = AuthorsTree(tmp_path / "author", {**files, service: f"import asyncio\n{paused}"})
    url = f"sqlite+aiosqlite:///{tmp_path / 'tessera.db'}"
    made = Installation(tmp_path / "here", url, **{"modules.guestbook": {"enabled": True}})
    made.environ["PYTHONPATH"] = os.pathsep.join([str(tree.folder), str(ROOT)])
    return made


def signed(server: Server) -> int:
    """Sign the book; the answer must come before the tail has ended."""
    began = time.monotonic()
    answer = server.call("POST", "/v2/guestbook", json={"text": "one two three"})
    assert (answer.status_code, answer.json()["words"]) == (201, None)
    assert time.monotonic() - began < SLOW
    return int(answer.json()["id"])


def words(installation: Installation) -> list[int | None]:
    """How many words each entry is said to have."""
    url = f"sqlite+aiosqlite:///{installation.folder.parent / 'tessera.db'}"
    return [row[0] for row in query(url, "SELECT words FROM guestbook_entries ORDER BY id")]


def test_the_tail_comes_after_the_commit_and_the_answer(guestbook: Installation) -> None:
    """While the tail still runs the answer is there and others see the row; then they see more.

    A server that is asked to end lets tails end first.
    """
    with guestbook.serving() as server:
        entry = signed(server)
        shown = server.call("GET", f"/v2/guestbook/{entry}").json()
        assert shown == {"id": entry, "text": "one two three", "words": None}
        assert words(guestbook) == [None]
        deadline = time.monotonic() + 20
        while server.call("GET", f"/v2/guestbook/{entry}").json()["words"] != 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        signed(server)
    assert words(guestbook) == [3, 3]


def test_a_tail_dies_with_its_process(guestbook: Installation) -> None:
    """Killed after the answer: the row stays, what the tail was to do is never done."""
    with guestbook.serving():
        pass
    server = guestbook.start()
    try:
        server.wait_ready()
        signed(server)
    finally:
        server.kill()
    with guestbook.serving() as server:
        time.sleep(SLOW + 0.5)
        assert server.call("GET", "/v2/guestbook/1").json()["words"] is None
