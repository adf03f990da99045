"""What becomes of a replaced generation: its memory comes back, and nothing else breaks."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from fastapi.dependencies import models

from core.courtesy import NEVER
from core.generation import Generation
from core.testing import AppFactory, RunningApp
from tests.support.plants import Garden, minimal, with_route

ROUTES = """
def make():
    router = APIRouter(prefix="/many", dependencies=[public])
    inner = APIRouter(prefix="/inner")
    for number in range(10):
        def read(number=number):
            async def read(at: int = 0) -> dict[str, int]:
                return {"at": at + number}
            return read
        router.get(f"/{number}", name=f"outer{number}")(read())
        inner.get(f"/{number}", name=f"inner{number}")(read())
    router.include_router(inner)
    return router

@hookimpl
def routers(version): return [make()]
"""

SHARED = """
router = APIRouter(prefix="/shared", dependencies=[public])

@router.get("")
async def read(at: int = 0) -> int:
    return at

@hookimpl
def routers(version): return [router]
"""


def swap(app: RunningApp, times: int = 1) -> None:
    """Replace the generation by one of the same settings, and wait until the old one has ended."""
    lifecycle = app.asgi.lifecycle
    assert lifecycle is not None
    for _ in range(times):
        app.run(lifecycle.swap, app.settings)
        app.run(lifecycle.settled)


def endpoints_of(generation: Generation) -> list[weakref.ref[Any]]:
    """Weak references to what answers in a generation."""
    return [
        weakref.ref(entry.context.endpoint)  # type: ignore[arg-type]  # a route has one
        for version in generation.versions.values()
        for table in version.tables.values()
        for entry in table.entries
    ]


def test_routes_go_without_the_collector(garden: Garden, app_factory: AppFactory) -> None:
    """Endpoints of a replaced generation are gone although nothing was collected, answers to them
    and errors included, and FastAPI's caches hold none of them."""
    garden.plant("many", minimal("many", ROUTES))
    app = app_factory(["many"])
    old = endpoints_of(app.generation)
    assert len(old) == 40
    here = app.client()
    assert here.get("/many/3?at=1").json() == {"at": 4}
    assert here.get("/many/inner/3?at=1").json() == {"at": 4}
    assert here.get("/many/3?at=x").status_code == 422
    gc.collect()
    gc.disable()
    try:
        swap(app)
        assert [it for it in old if it() is not None] == []
    finally:
        gc.enable()
    assert here.get("/many/inner/3?at=2").json() == {"at": 5}
    found = [f.cache_info().currsize for f in vars(models).values() if hasattr(f, "cache_info")]
    assert found
    assert max(found) < 100


LINGERS = """
import asyncio
from contextlib import asynccontextmanager

@hookimpl
@asynccontextmanager
async def lifespan(context):
    yield
    await asyncio.sleep(0.5)
"""


def test_no_full_collection_begins_while_there_are_two(
    garden: Garden, app_factory: AppFactory
) -> None:
    """It would hold the loop for twice as long: the collector is told to wait until the old one has
    ended, and not longer."""
    garden.plant("slow", minimal("slow", LINGERS))
    app = app_factory(["slow"])
    usual = gc.get_threshold()
    lifecycle = app.asgi.lifecycle
    assert lifecycle is not None
    app.run(lifecycle.swap, app.settings)
    assert gc.get_threshold() == (*usual[:2], NEVER)
    app.run(lifecycle.settled)
    assert gc.get_threshold() == usual


def test_a_router_that_was_made_once_stays_whole(garden: Garden, app_factory: AppFactory) -> None:
    """A module that gives the same router again and again answers in each generation."""
    garden.plant("shared", minimal("shared", SHARED))
    garden.plant("other", with_route("other"))
    app = app_factory(["shared", "other"])
    for number in range(4):
        for version in ("v1", "v2"):
            here = app.client(version)
            assert here.get(f"/shared?at={number}").json() == number
            assert here.get("/other").json() == {"module": "other"}
            assert "/shared" in here.get("/openapi.json").json()["paths"]
        swap(app)


def test_swaps_leave_no_objects(garden: Garden, app_factory: AppFactory) -> None:
    """Ten swaps leave no more objects behind than one, but for a few that Python itself keeps."""
    garden.plant("many", minimal("many", ROUTES))
    app = app_factory(["many", "users"])
    swap(app, 2)
    gc.collect()
    before = len(gc.get_objects())
    swap(app, 10)
    gc.collect()
    assert len(gc.get_objects()) - before < 500
