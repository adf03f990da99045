"""Four servers that start at the same moment on one database: one migrates, all are ready."""

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from core.db import migrations
from core.db.engine import Database
from core.db.lock import migration_lock
from core.db.migrations import ModuleMigrations
from core.errors import Refused
from tests.support.migrating import Nursery, make_table, tables_of

REPOSITORY = Path(__file__).parents[2]
SERVER = textwrap.dedent("""
    import asyncio, sys, time
    from core.db import migrations
    from core.db.migrations import ModuleMigrations
    from tests.support.notes import database_at

    async def main():
        url, *ids = sys.argv[1:]
        database = database_at(url)
        modules = [ModuleMigrations(i, f"planted_{i}:migrations") for i in ids]
        print("ready", flush=True)
        sys.stdin.readline()
        for result in await migrations.upgrade(database, modules):
            if result.failure:
                print("FAILED", result.failure)
            elif result.changed:
                print("MIGRATED", result.module)
        assert not any(s.pending for s in await migrations.status(database, modules))
        await database.close()

    asyncio.run(main())
""")


async def start_all(url: str, folder: Path, *ids: str) -> list[str]:
    """Start four processes, let them go at the same moment, and gather what they say."""
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{folder}"}
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            SERVER,
            url,
            *ids,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=REPOSITORY,
            env=environment,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    said = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    for process, (_, errors) in zip(processes, said, strict=True):
        assert process.returncode == 0, errors.decode()
    return [line for output, _ in said for line in output.decode().splitlines()]


def migrated(lines: list[str]) -> list[str]:
    return sorted(line for line in lines if line.startswith(("MIGRATED", "FAILED")))


@pytest.mark.slow
async def test_on_an_empty_database(
    database: Database, database_url: str, nursery: Nursery
) -> None:
    """Each module is migrated by exactly one of the four, and none sees an error."""
    for module_id in ("one", "two"):
        nursery.module(module_id, make_table(f"{module_id}_things"))
    lines = await start_all(database_url, nursery.garden.folder, "one", "two")
    assert migrated(lines) == ["MIGRATED one", "MIGRATED two"]
    assert {"one_things", "two_things"} <= await tables_of(database)


@pytest.mark.slow
async def test_on_a_half_migrated_database(
    database: Database, database_url: str, nursery: Nursery
) -> None:
    """What is there already stays, and what is missing is done once."""
    first = nursery.module("one", make_table("one_things"))
    await migrations.upgrade(database, [first])
    await database.close()
    nursery.revision("one", 2, make_table("one_others"))
    nursery.module("two", make_table("two_things"))
    lines = await start_all(database_url, nursery.garden.folder, "one", "two")
    assert migrated(lines) == ["MIGRATED one", "MIGRATED two"]
    assert {"one_things", "one_others", "two_things"} <= await tables_of(database)


async def test_waiting_has_an_end(database: Database, nursery: Nursery) -> None:
    """Who cannot get the lock in time is refused with a reason, and the holder is not disturbed."""
    module = nursery.module("one", make_table("one_things"))
    engine = database.maintenance_engine()
    async with migration_lock(engine):
        with pytest.raises(Refused, match="another process has been migrating"):
            await migrations.upgrade(database, [module], wait=0.3)
    assert await migrations.status(database, [module])
    [result] = await migrations.upgrade(database, [module], wait=5)
    assert result.failure is None


async def test_lock_is_waited_for(database: Database, nursery: Nursery) -> None:
    """Who comes while another migrates goes on as soon as that one is done."""
    module = ModuleMigrations("one", nursery.module("one", make_table("one_things")).location)
    held = asyncio.Event()

    async def holder() -> None:
        async with migration_lock(database.maintenance_engine()):
            held.set()
            await asyncio.sleep(0.3)

    task = asyncio.create_task(holder())
    await held.wait()
    [result] = await migrations.upgrade(database, [module], wait=10)
    assert task.done()
    assert result.changed
