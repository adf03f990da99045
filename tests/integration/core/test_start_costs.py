"""What a start leaves out, and what it does with the collector of garbage."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
STARTED = """
import asyncio, gc, sys
usual = gc.get_threshold()
import main

async def start():
    told = asyncio.Queue()
    life = asyncio.create_task(
        main.app({"type": "lifespan"}, said.get, told.put)
    )
    await said.put({"type": "lifespan.startup"})
    assert (await told.get())["type"] == "lifespan.startup.complete"
    print(gc.get_threshold() == usual, gc.get_freeze_count() > 100_000, "asyncpg" in sys.modules)
    await said.put({"type": "lifespan.shutdown"})
    await life

said = asyncio.Queue()
print(gc.get_threshold()[0] > usual[0])
asyncio.run(start())
"""


def started(folder: Path) -> list[str]:
    """What a process says that starts the application on SQLite and ends it."""
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith("TESSERA_")},
        "PYTHONPATH": str(ROOT),
        "TESSERA_APP__SECRET_KEY": "a key of this test alone, long enough",
        "TESSERA_DATABASE__URL": f"sqlite+aiosqlite:///{folder}/start.db",
    }
    command = [sys.executable, "-c", STARTED]
    (folder / "settings.toml").write_bytes((ROOT / "settings.toml").read_bytes())
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [line for line in done.stdout.splitlines() if set(line.split()) <= {"True", "False"}]


def test_a_start_collects_seldom_and_serves_as_usual_and_sqlite_loads_no_other_driver(
    tmp_path: Path,
) -> None:
    """A start raises the collector's threshold, freezes what stays and puts the threshold back;
    on SQLite the driver of PostgreSQL is not loaded."""
    assert started(tmp_path) == ["True", "True True False"]
