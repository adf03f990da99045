"""The kit as authors of modules use it: in a tree of their own, with a pytest of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.written import AuthorsTree, shown_files

ROOT = Path(__file__).resolve().parents[3]
PROJECT = """
[project]
name = "tessera-nothing"
version = "1.0"
[project.entry-points."tessera.modules"]
[tool.pytest.ini_options]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "function"
filterwarnings = ["error"]
"""

ROLLED_BACK = """
from core.plugin import Session
from modules.users.models import User
from sqlmodel import select
import pytest
from core.testing import start_app

@pytest.fixture(scope="module")
def url(tmp_path_factory):
    return f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('kept') / 'kept.db'}"

def tea():
    return User(name="Ann", email="ann@kit.example", role="user")

async def test_one(url, app_factory, session):
    '''What it wrote and did not commit is gone afterwards.'''
    app_factory(["users"], database_url=url)
    session.add(tea())
    await session.flush()

def test_two(url, app_factory, sync_session):
    '''The same of a plain test.'''
    app_factory(["users"], database_url=url)
    sync_session.add(tea())
    sync_session.flush()

async def test_three(url, app_factory, session):
    '''Neither has left anything.'''
    app_factory(["users"], database_url=url)
    assert (await session.exec(select(User.id))).all() == []
"""


def test_what_is_not_committed_is_rolled_back(tmp_path: Path) -> None:
    """At the end of a test its session leaves no trace in a database that others use too."""
    tree = AuthorsTree(tmp_path, {"pyproject.toml": PROJECT, "test_it.py": ROLLED_BACK})
    done = tree.pytest("-q", "test_it.py")
    assert "3 passed" in done.stdout, done.stdout


def test_the_documentation_runs(tmp_path: Path) -> None:
    """The distribution that docs/testing.md shows passes its own tests as it stands, each file
    well within a second."""
    tree = AuthorsTree(tmp_path, shown_files(ROOT / "docs" / "testing.md"))
    done = tree.pytest("-q", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "15 passed" in done.stdout


def test_pytest_pays_nothing_for_a_kit_that_nobody_uses(tmp_path: Path) -> None:
    """With Tessera installed, other suites load neither the framework nor the database."""
    (tmp_path / "test_other.py").write_text(
        "import sys\n"
        "def test_other():\n"
        "    assert 'core.testing' in sys.modules\n"
        "    heavy = {'fastapi', 'sqlalchemy', 'pydantic', 'time_machine', 'core.app'}\n"
        "    assert not heavy & set(sys.modules)\n"
    )
    # Other plugins installed here are heavy themselves.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "core.testing", "-p", "pytest_asyncio"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """Without time-machine, `frozen_time` says what to install."""
    tree = AuthorsTree(
        tmp_path,
        {
            "pyproject.toml": PROJECT,
            "time_machine.py": "raise ModuleNotFoundError('gone', name='time_machine')",
            "test_it.py": "def test_it(frozen_time): pass",
        },
    )
    done = tree.pytest("-q", "-p", "no:time_machine", "test_it.py")
    assert "pip install 'tessera-modulith[testing]'" in done.stdout
