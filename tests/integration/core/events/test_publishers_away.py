"""A publisher that is off: what it published in an older version is not lost to its subscribers."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from core.errors import Refused
from core.events.operations import failed, replay
from tests.integration.core.events.conftest import Bells
from tests.support import tower as towers
from tests.support.apps import app_for
from tests.support.migrating import REVISION
from tests.support.plants import Garden

LOUD = '''
class StruckLoud(Event, type="tower.bell_struck.v2", aggregate="bell", key="bell"):
    """A bell was struck, so loud."""
    bell: int
    count: int
    loud: int
'''
LIFT = """
@upcast(Struck, StruckLoud)
def lift(old):
    return StruckLoud(bell=old.bell, count=old.count, loud=1)
"""
BESIDE = (
    f"from core.plugin import upcast\nfrom planted_tower.module import Struck, StruckLoud\n{LIFT}"
)
Way = tuple[str, dict[str, Any]]


class Shop:
    """A tower of two versions, and a ledger that lives without it and takes the newer one."""

    def __init__(self, way: Way, garden: Garden, *, apart: bool, lift: str = LIFT) -> None:
        """`apart` puts what lifts the older version where the ledger does not come by; `lift` is
        what does, beside the classes."""
        self.url, self.sections = way
        self._apart = apart
        beside = "    from planted_tower.lifts import lift\n" if apart else ""
        tower = towers.TOWER.replace(
            "@hookimpl\ndef manifest",
            (LOUD if apart else LOUD + lift) + "\n@hookimpl\ndef manifest",
        ).replace("    return [Struck]", f"{beside}    return [Struck, StruckLoud, lift]")
        ledger = (
            towers.LEDGER.replace("import Struck", "import StruckLoud")
            .replace("on(Struck, write)", "on(StruckLoud, write)")
            .replace(towers.OUTSIDE, "")
            .replace("        broadcast(Struck, hear),\n", "")
            .replace('requires=("tower",)', 'optional=("tower",)')
        )
        for name, source, table in (
            ("tower", tower, towers.BELLS),
            ("ledger", ledger, towers.LINES),
        ):
            package = garden.plant(name, source)
            first = REVISION.format(
                number="0001", before="None", upgrade=f"    {table}", downgrade="    pass"
            )
            garden.file(package, "migrations/0001_first.py", first)
        garden.file("planted_tower", "lifts.py", BESIDE)
        self.modules = [
            importlib.import_module(f"planted_{it}.module") for it in ("tower", "ledger")
        ]

    @asynccontextmanager
    async def open(self, *modules: str, role: str = "all") -> AsyncIterator[Bells]:
        """What a process of these modules is: one that has not imported what the others have."""
        if self._apart:
            self.modules[0].StruckLoud.upcasters = ()
            sys.modules.pop("planted_tower.lifts", None)
        server = {"role": role}
        app = app_for(self.url, *modules, events=towers.QUICK, server=server, **self.sections)
        await app.start()
        try:
            yield Bells(app, self.url, *self.modules, **self.sections)
        finally:
            await app.stop()


def lives(bells: Bells) -> list[str]:
    """The modules at work."""
    return [it.id for it in bells.app.generation.registry.enabled]


@pytest.mark.parametrize("apart", [False, True])
async def test_older_versions_of_a_publisher_that_was_off_are_not_lost(
    way: Way, garden: Garden, apart: bool
) -> None:
    """What was recorded in an older version has its effect, once and in order, though its publisher
    is disabled for a while: at once where the subscriber has what lifts it, else afterwards."""
    shop = Shop(way, garden, apart=apart)
    async with shop.open("tower", "ledger", role="api") as bells:
        await bells.strike(1, 2, 1)
    async with shop.open("ledger") as bells:
        if not apart:
            assert len(await bells.effects(3)) == 3
        await asyncio.sleep(1)
        assert await failed(bells.database) == []
    async with shop.open("tower", "ledger") as bells:
        await bells.strike(1)
        effects = await bells.effects(4)
        assert sorted(it[:2] for it in effects) == [(1, 1), (1, 2), (1, 3), (2, 1)]
        assert towers.in_order(effects)
        assert await failed(bells.database) == []


async def test_older_versions_of_a_publisher_that_has_failed_are_not_lost(
    way: Way, garden: Garden, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publisher that cannot start takes nothing from its subscribers either."""
    shop = Shop(way, garden, apart=True)
    async with shop.open("tower", "ledger", role="api") as bells:
        await bells.strike(1, 2)

    def broken(context: Any) -> Any:
        raise RuntimeError("no disk")

    from core.plugin import hookimpl

    with monkeypatch.context() as patch:  # of its own: the garden's stays
        patch.setattr(shop.modules[0], "lifespan", hookimpl(broken), raising=False)
        async with shop.open("tower", "ledger") as bells:
            assert lives(bells) == ["ledger"]
            await asyncio.sleep(1)
            assert await failed(bells.database) == []
    async with shop.open("tower", "ledger") as bells:
        assert lives(bells) == ["tower", "ledger"]
        assert len(await bells.effects(2)) == 2


async def test_a_replay_without_what_reads_older_versions_is_refused(
    sqlite_url: str, garden: Garden
) -> None:
    """It would leave them out of the projection: it says which module is to be enabled first."""
    shop = Shop((sqlite_url, {}), garden, apart=True)
    async with shop.open("tower", "ledger") as bells:
        await bells.strike(1, 2)
        assert len(await bells.effects(2)) == 2
    async with shop.open("ledger") as bells:
        assert bells.app.generation is not None
        [plan] = bells.app.generation.events.groups
        with pytest.raises(
            Refused, match=r"^tower is not enabled, and only it can read tower\.bel"
        ):
            await replay(bells.database, plan)
        assert len(await bells.effects(2)) == 2
    async with shop.open("tower", "ledger") as bells:
        assert bells.app.generation is not None
        [plan] = bells.app.generation.events.groups
        assert await replay(bells.database, plan) == 2
