"""What a module does wrong while it serves, when it is asked something: nobody else notices."""

from __future__ import annotations

import textwrap
import time

import pytest
from fastapi.testclient import TestClient

from core.app import create_app
from core.http import health
from core.identity import Asked
from tests.support.apps import app_for, serving, settings_for
from tests.support.migrating import REVISION
from tests.support.plants import Garden, minimal, with_route

STEP = REVISION.format(number="0001", before=None, upgrade="    pass", downgrade="    pass")
STRANGE = {
    "text": "return 'root'",
    "a dictionary": "return {'id': 1}",
    "an error": "raise RuntimeError('boom')",
}


@pytest.mark.parametrize("answer", STRANGE)
def test_an_authenticator_that_is_wrong_lets_nobody_in(
    answer: str, garden: Garden, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever an authenticator gives that is no Principal opens no door, and the log names it."""
    garden.plant("good", with_route("good", access="requires()"))
    garden.plant(
        "odd",
        minimal(
            "odd",
            f"""
            async def who(connection):
                {STRANGE[answer]}

            @hookimpl
            def authenticators(context): return [who]
            """,
        ),
    )
    app = app_for(sqlite_url, "good", "odd")
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/v1/good").status_code == 500
    [told] = [it for it in caplog.messages if "an authenticator failed" in it]
    assert "'module': 'odd'" in told


def test_a_readiness_check_may_raise_anything(garden: Garden, sqlite_url: str) -> None:
    """A check that exits makes the process not ready, in the document, and ends nothing."""
    garden.plant(
        "bad",
        minimal(
            "bad",
            """
            async def check():
                raise SystemExit("gone")

            @hookimpl
            def readiness(context): return {"disk": check}
            """,
        ),
    )
    with serving(sqlite_url, "bad") as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        checks = answer.json()["modules"]["bad"]["checks"]
        assert checks == {"disk": {"status": "down", "reason": "gone"}}


def test_an_authenticator_that_hangs_is_given_up(
    garden: Garden, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who calls is asked for a limited time: then 503, and only the log names the module."""
    monkeypatch.setattr(Asked, "SECONDS", 0.2)
    garden.plant("good", with_route("good", access="requires()"))
    garden.plant(
        "bad",
        minimal(
            "bad",
            """
            import asyncio

            async def who(connection):
                await asyncio.sleep(60)

            @hookimpl
            def authenticators(context): return [who]
            """,
        ),
    )
    with serving(sqlite_url, "good", "bad") as client:
        answer = client.get("/v1/good")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        told = {k: v for k, v in answer.json().items() if k != "request_id"}  # hex may spell it
        assert "bad" not in str(told)


def test_readiness_checks_that_hang_cost_the_time_of_one(
    garden: Garden, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checks are asked side by side, and one that swallows its cancellation is not waited for."""
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.5)
    hangs = """
    import asyncio

    async def check():
        await asyncio.sleep(60)

    async def deaf():
        while True:
            try: await asyncio.sleep(60)
            except asyncio.CancelledError: pass

    @hookimpl
    def readiness(context): return {"bank": check, "post": check, "deaf": deaf}
    """
    for name in ("one", "two"):
        garden.plant(name, minimal(name, textwrap.dedent(hangs)))
    with serving(sqlite_url, "one", "two") as client:
        for _ in range(2):
            began = time.monotonic()
            modules = client.get("/readyz").json()["modules"]
            assert time.monotonic() - began < 2
            for name in ("one", "two"):
                states = {check["status"] for check in modules[name]["checks"].values()}
                assert states == {"down"}
        assert client.get("/livez").status_code == 200


@pytest.mark.parametrize("kind", ["async def", "def"])
def test_a_route_that_exits_is_an_error_of_its_own(
    kind: str, garden: Garden, sqlite_url: str
) -> None:
    """SystemExit in a route is a 500 for its caller; the host serves on."""
    source = with_route("bad").replace('    return {"module": "bad"}', "    raise SystemExit(3)")
    garden.plant("bad", source.replace("async def read", f"{kind} read"))
    garden.plant("good", with_route("good"))
    with serving(sqlite_url, "good", "bad") as client:
        answer = client.get("/v1/bad")
        assert answer.status_code == 500
        assert answer.json()["type"] == "/problems/internal"
        assert client.get("/v1/good").status_code == 200


@pytest.mark.parametrize(
    ("revision", "reason"),
    [
        ("this is no Python", "a revision cannot be read: SyntaxError"),
        (STEP.replace("0001", "0002"), "is at revision '0001', which this"),
    ],
    ids=["unreadable", "older than the database"],
)
async def test_where_nothing_migrates_a_broken_revision_is_told_too(
    revision: str, reason: str, garden: Garden, sqlite_url: str
) -> None:
    """As in production: a module whose revisions cannot be read, or whose database is newer than
    its code, is out with that reason, and the others serve."""
    garden.plant("good", with_route("good"))
    hook = "@hookimpl\ndef migrations(): return 'planted_bad:migrations'\n"
    garden.plant("bad", with_route("bad") + hook)
    garden.file("planted_bad", "migrations/0001_first.py", STEP)
    with serving(sqlite_url, "good", "bad") as client:
        assert client.get("/v1/bad").status_code == 200
    garden.file("planted_bad", "migrations/0001_first.py", revision)
    app = create_app(settings_for(sqlite_url, "good", "bad"), migrate=False)
    with TestClient(app) as client:
        modules = client.get("/readyz").json()["modules"]
        assert modules["bad"]["state"] == "failed"
        assert reason in modules["bad"]["reason"]
        assert client.get("/v1/good").json() == {"module": "good"}
        assert client.get("/v1/bad").status_code == 404


async def test_who_lives_since_a_rival_failed_stops_no_start_with_its_migrations(
    garden: Garden, sqlite_url: str
) -> None:
    """Where nothing migrates, a module that lives only since its rival's lifespan failed, and whose
    tables are not there, is out with what to do; the start is not refused."""
    garden.plant("good", with_route("good"))
    with serving(sqlite_url, "good"):
        pass
    lifespan = "@hookimpl\ndef lifespan(context): raise OSError('no bank')\n"
    garden.plant("first", with_route("first") + lifespan)
    hook = "@hookimpl\ndef migrations(): return 'planted_second:migrations'\n"
    rival = with_route("second").replace('"1.0"', '"1.0", conflicts=("first",)')
    garden.plant("second", rival + hook)
    garden.file("planted_second", "migrations/0001_first.py", STEP)
    app = create_app(settings_for(sqlite_url, "good", "first", "second"), migrate=False)
    with TestClient(app) as client:
        modules = client.get("/readyz").json()["modules"]
        assert "no bank" in modules["first"]["reason"]
        assert "its migrations wait (0001)" in modules["second"]["reason"]
        assert "tessera db upgrade" in modules["second"]["remedy"]
        assert client.get("/v1/good").json() == {"module": "good"}
