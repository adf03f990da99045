"""Strangers' distributions by the hundred, as pip would leave them: packages with metadata."""

from __future__ import annotations

from pathlib import Path

MODULE = """
from fastapi import APIRouter
from core.plugin import Manifest, hookimpl, public


@hookimpl
def manifest():
    return Manifest("{id}", "1.0")


def make():
    router = APIRouter(prefix="/{id}", tags=["{id}"])
{routes}
    return router


@hookimpl
def routers(version):
    return [make()]
"""

# All of one form and one cost, so that nothing but finding them can differ: the last has nine
# others before it that have to be told from it by what follows a parameter.
ROUTE = """
    @router.get("/{{item_id}}/r{number}", dependencies=[public])
    async def read_{number}(item_id: int) -> dict[str, str]:
        return {{"module": "{id}"}}
"""

EMPTY = """
    @router.get("", dependencies=[public])
    async def read() -> dict[str, str]:
        return {{"module": "{id}"}}
"""


def plant(folder: Path, module_id: str, *, routes: int) -> None:
    """A distribution with one module; `routes` 0 gives one route at the prefix itself."""
    body = "".join(ROUTE.format(id=module_id, number=n) for n in range(routes))
    plant_source(
        folder, module_id, MODULE.format(id=module_id, routes=body or EMPTY.format(id=module_id))
    )


def plant_source(folder: Path, module_id: str, source: str) -> None:
    """A distribution with one module, made of `source`."""
    package = folder / f"planted_{module_id}"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "module.py").write_text(source)
    metadata = folder / f"planted_{module_id}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: planted-{module_id}\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(
        f"[tessera.modules]\n{module_id} = planted_{module_id}.module\n"
    )


def plant_many(folder: Path, count: int, *, routes: int) -> list[str]:
    """`count` distributions; gives the ids of their modules."""
    names = [f"m{number:03}" for number in range(count)]
    for name in names:
        plant(folder, name, routes=routes)
    return names
