"""A module whose route does not say who may call it is told what it has and what to write."""

from __future__ import annotations

import pytest

from core.checks.run import run
from core.settings import Settings
from tests.support.plants import Garden, minimal

SOURCE = """
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles

async def answer(request):
    return PlainTextResponse("x")

def make():
    router = APIRouter(prefix="/bad")

    {0}
    async def open() -> None: ...

    return router

@hookimpl
def routers(version):
    return [make()] if version == "v1" else []
"""
OF_FASTAPI = "add `public` or `requires(...)` to its dependencies or to its router's"
OF_STARLETTE = "answer from a route of FastAPI's (@router.get, @router.websocket …), with `public`"


@pytest.mark.parametrize(
    ("line", "reason", "remedy"),
    [
        ("@router.get('')", "the route GET /bad does not say", OF_FASTAPI),
        ("@router.websocket('/ws')", "the route WEBSOCKET /bad/ws does not say", OF_FASTAPI),
        (
            "router.add_route('/plain', answer)",
            "Starlette's route GET,HEAD /plain cannot say",
            OF_STARLETTE,
        ),
        (
            "router.mount('/files', StaticFiles(directory='.'))",
            "what is mounted at /files cannot say",
            OF_STARLETTE,
        ),
    ],
)
def test_it_is_called_what_it_is(garden: Garden, line: str, reason: str, remedy: str) -> None:
    """A mount is a mount, a socket a socket, and the remedy is one that can be followed."""
    garden.plant("bad", minimal("bad", SOURCE.format(line)))
    [found] = run(Settings.for_tests(modules={"bad": {"enabled": True}}))
    assert (found.code, found.reason) == ("T001", f"{reason} who may call it")
    assert found.remedy.startswith(remedy)
