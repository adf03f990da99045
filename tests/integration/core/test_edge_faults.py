"""A route that raises what is no `Exception`, and a request that is itself cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Message

from tests.support.apps import app_for
from tests.support.plants import Garden, minimal

SOURCE = minimal(
    "demo",
    """
    import asyncio

    class Own(BaseException): ...

    def make():
        router = APIRouter(prefix="/demo", tags=["demo"], dependencies=[public])

        @router.get("/cancelled")
        async def cancelled() -> int:
            task = asyncio.create_task(asyncio.sleep(60))
            task.cancel()
            await task  # nobody cancels the request itself
            return 1

        @router.get("/own")
        async def own() -> int:
            raise Own

        @router.get("/interrupt")
        async def interrupt() -> int:
            raise KeyboardInterrupt

        @router.get("/closed")
        async def closed() -> int:
            raise GeneratorExit

        @router.get("/thread")
        def thread() -> int:
            raise KeyboardInterrupt

        @router.get("/away")
        async def away() -> int:
            raise Unavailable("Ask later.", for_operators="bank.example:443: no route to host")

        @router.get("/long")
        async def long() -> int:
            await asyncio.sleep(60)
            return 1

        return router

    @hookimpl
    def routers(version):
        return [make()]
    """,
)
ORIGIN = "https://shop.example"


@pytest.fixture
def client(garden: Garden, sqlite_url: str) -> Iterator[TestClient]:
    garden.plant("demo", SOURCE)
    app = app_for(sqlite_url, "demo", cors={"allowed_origins": (ORIGIN,)})
    with TestClient(app) as running:
        yield running


@pytest.mark.parametrize("name", ["cancelled", "own", "interrupt", "closed", "thread"])
def test_what_is_no_exception_is_a_fault_like_any_other(
    client: TestClient, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """It is answered with the problem 500, all headers and CORS, and logged with the request."""
    path = f"/v1/demo/{name}"
    answer = client.get(path, headers={"Origin": ORIGIN, "X-Request-ID": "find-me"})
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == "find-me"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.json()["instance"] == path
    lines = [r.msg for r in caplog.records if isinstance(r.msg, dict)]
    fault = next(line for line in lines if line["event"] == "request failed")
    assert (fault["request_id"], fault["route"]) == ("find-me", f"/demo/{name}")
    assert next(line for line in lines if line["event"] == "request")["status"] == 500


def test_why_a_server_is_away_is_for_the_log_alone(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A 503 tells its caller nothing of the inside; the log says which server, and what it said."""
    answer = client.get("/v1/demo/away", headers={"X-Request-ID": "find-me"})
    assert (answer.status_code, answer.json()["detail"]) == (503, "Ask later.")
    assert "bank" not in answer.text
    lines = [r.msg for r in caplog.records if isinstance(r.msg, dict)]
    told = next(line for line in lines if line["event"] == "cannot answer")
    assert told["reason"] == "bank.example:443: no route to host"
    assert (told["request_id"], told["route"]) == ("find-me", "/demo/away")


def test_a_request_that_is_cancelled_gets_its_cancellation(client: TestClient) -> None:
    """Who cancels a request's own task, as a server does that stops, sees it end unanswered."""
    assert client.portal is not None
    assert client.portal.call(cancelled, client.app) == []


async def cancelled(app: ASGIApp) -> list[Message]:
    """What is sent to a request whose task is cancelled while its route works."""
    sent, task = begin(app)
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return sent


def begin(app: ASGIApp) -> tuple[list[Message], asyncio.Task[None]]:
    """A request for the route that takes long, and what is sent to it."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def serve() -> None:
        await app(
            {
                "type": "http",
                "method": "GET",
                "path": "/v1/demo/long",
                "root_path": "",
                "query_string": b"",
                "headers": [],
            },
            receive,
            send,
        )

    return sent, asyncio.create_task(serve())
