"""What every answer carries, whichever way it came about."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from tests.support.apps import app_for, serving
from tests.support.plants import Garden, minimal

SOURCE = minimal(
    "demo",
    """
    from fastapi import Body, HTTPException, Response

    def make():
        router = APIRouter(prefix="/demo", tags=["demo"], dependencies=[public])

        @router.get("")
        async def read() -> dict[str, int]:
            return {"n": 1}

        @router.get("/fixed")
        async def fixed() -> str:
            return "fixed"

        @router.get("/{number}")
        async def one(number: int) -> int:
            return number

        @router.delete("/{number}", status_code=204)
        async def drop(number: int) -> None: ...

        @router.get("/deep/{where:path}")
        async def deep(where: str) -> str:
            return where

        @router.post("")
        async def write(body: Annotated[dict[str, str], Body()]) -> dict[str, str]:
            return body

        @router.get("/note/{name}")
        async def note(name: str) -> str:
            import structlog

            structlog.get_logger("demo").info("noted")
            return name

        @router.get("/fail/now")
        async def fail() -> int:
            raise RuntimeError("the password is hunter2")

        @router.get("/fail/teapot")
        async def teapot() -> int:
            raise HTTPException(418, "short and stout", headers={"X-Pot": "tea"})

        @router.get("/fail/later")
        async def stream() -> Response:
            from fastapi.responses import StreamingResponse

            async def parts():
                yield b"one"
                raise RuntimeError("cut")

            return StreamingResponse(parts())

        return router

    @hookimpl
    def routers(version):
        return [make()]
    """,
)


@pytest.fixture
def client(garden: Garden, sqlite_url: str) -> Iterator[TestClient]:
    garden.plant("demo", SOURCE)
    app = app_for(sqlite_url, "demo", cors={"allowed_origins": ("https://shop.example",)})
    with TestClient(app, raise_server_exceptions=False) as running:
        yield running


PATHS = [
    ("GET", "/", 200),
    ("GET", "/health", 200),
    ("GET", "/livez", 200),
    ("GET", "/readyz", 200),
    ("GET", "/problems", 200),
    ("GET", "/problems/not-found", 200),
    ("GET", "/problems/nonsense", 404),
    ("POST", "/health", 405),
    ("GET", "/nowhere", 404),
    ("GET", "/v1", 200),
    ("GET", "/v1/", 200),
    ("GET", "/v9/demo", 404),
    ("GET", "/v1/nowhere", 404),
    ("GET", "/v1/docs", 200),
    ("GET", "/v2/redoc", 200),
    ("GET", "/v2/openapi.json", 200),
    ("GET", "/v1/demo", 200),
    ("PUT", "/v1/demo", 405),
    ("GET", "/v1/demo/x", 422),
    ("DELETE", "/v2/demo/1", 204),
    ("GET", "/v1/demo/fail/now", 500),
    ("GET", "/v1/demo/fail/teapot", 418),
]


@pytest.mark.parametrize(("method", "path", "status"), PATHS)
def test_every_answer_has_id_time_and_security_headers(
    client: TestClient, method: str, path: str, status: int
) -> None:
    """On any path and status: a request id, a time in seconds, and the security headers."""
    answer = client.request(method, path)
    assert answer.status_code == status
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert 0 <= float(answer.headers["X-Process-Time"]) < 10
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "Content-Security-Policy" in answer.headers
    if status >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"
        document = answer.json()
        assert document["status"] == status
        assert document["instance"] == path
        assert document["request_id"] == answer.headers["X-Request-ID"]
        assert client.get(document["type"]).json()["status"] == status
        assert document["title"]
        assert document["detail"]


def test_a_body_that_is_no_json_is_told_where_it_breaks(client: TestClient) -> None:
    """The detail says what is wrong, in words and with the place."""
    headers = {"content-type": "application/json"}
    answer = client.post("/v2/demo", content=b'{"lines": [', headers=headers)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "The body is not JSON: broken at character 11."


def test_a_fault_tells_nothing_of_the_inside(client: TestClient) -> None:
    """A 500 names no exception, no message, no file."""
    text = client.get("/v1/demo/fail/now").text
    assert "hunter2" not in text
    assert "RuntimeError" not in text


def test_the_fault_is_logged_with_the_request(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the traceback under the request id that the caller was given."""
    answer = client.get("/v1/demo/fail/now", headers={"X-Request-ID": "find-me"})
    assert answer.headers["X-Request-ID"] == "find-me"
    lines = [r.msg for r in caplog.records if isinstance(r.msg, dict)]
    fault = next(line for line in lines if line["event"] == "request failed")
    assert fault["exc_info"] is True
    assert (fault["request_id"], fault["route"]) == ("find-me", "/demo/fail/now")
    access = next(line for line in lines if line["event"] == "request")
    assert (access["status"], access["module"], access["version"]) == (500, "demo", "v1")


def test_a_line_of_a_route_says_which(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """What a module logs while it answers names request, version, module and route already."""
    client.get("/v2/demo/note/this", headers={"X-Request-ID": "find-me"})
    lines = [r.msg for r in caplog.records if isinstance(r.msg, dict)]
    noted = next(line for line in lines if line["event"] == "noted")
    named = [noted[name] for name in ("request_id", "version", "module", "route")]
    assert named == ["find-me", "v2", "demo", "/demo/note/{name}"]


@pytest.mark.parametrize("header", ["with space", "x" * 129, "new\tline", "ü", "<script>"])
def test_an_insane_request_id_is_replaced(client: TestClient, header: str) -> None:
    """A request id that is too long or holds anything but plain characters is not taken over."""
    answer = client.get("/health", headers={"X-Request-ID": header.encode()})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_allow_lists_every_method_of_the_path(client: TestClient) -> None:
    """A 405 names all methods that the path knows, also of routes declared apart (RFC 9110)."""
    assert client.patch("/v1/demo/7").headers["Allow"] == "DELETE, GET"
    assert client.patch("/v2/demo").headers["Allow"] == "GET, POST"


def test_the_first_declared_route_wins(client: TestClient) -> None:
    """Dispatch by shape keeps FastAPI's rule: of two routes that match, the first answers."""
    assert client.get("/v1/demo/fixed").json() == "fixed"
    assert client.get("/v1/demo/12").json() == 12
    assert client.get("/v1/demo/deep/a/b/c").json() == "a/b/c"


def test_accept_version_chooses(client: TestClient) -> None:
    """Without a version in the path the header chooses, and caches are told so."""
    answer = client.get("/demo", headers={"Accept-Version": "2"})
    assert answer.json() == {"n": 1}
    assert "Accept-Version" in answer.headers["Vary"]
    unknown = client.get("/demo", headers={"Accept-Version": "9"})
    assert unknown.status_code == 404
    assert "there are 1, 2" in unknown.json()["detail"]
    assert "no version 'v9'; there are 1, 2" in client.get("/v9/demo").json()["detail"]
    bare = client.get("/demo")
    assert bare.status_code == 404
    assert "Accept-Version" in bare.headers["Vary"]


def test_a_large_body_is_refused(client: TestClient) -> None:
    """Ten megabytes are answered with 413, whether the length is told or the body is chunked."""
    told = client.post("/v1/demo", content=b"x" * 10_000_000)
    assert told.status_code == 413
    assert told.json()["type"] == "/problems/payload-too-large"

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    chunked = client.post(
        "/v1/demo", content=chunks(), headers={"Content-Type": "application/json"}
    )
    assert chunked.status_code == 413
    assert chunked.json()["type"] == "/problems/payload-too-large"


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (b"{", {422}),
        (b'{"a": 1}', {422}),
        (b'{"a": "\\ud800"}', {422}),
        (b'{"\\ud800": 1}', {422}),
        (b"\xff\xfe", {400, 422}),
        (b"[" * 100_000, {400, 422}),
        (b"", {422}),
    ],
)
def test_a_broken_body_is_the_callers_fault(
    client: TestClient, body: bytes, statuses: set[int]
) -> None:
    """Malformed JSON, wrong types, surrogates, deep nesting: a problem document, never a 500."""
    answer = client.post("/v1/demo", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in statuses
    assert answer.json()["request_id"]


def test_cors_lets_the_named_origin_in(client: TestClient) -> None:
    """A preflight and an error both carry CORS headers for the origin named in the settings."""
    origin = {"Origin": "https://shop.example"}
    preflight = client.options(
        "/v1/demo", headers={**origin, "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 200
    assert preflight.headers["X-Request-ID"]
    assert preflight.headers["X-Content-Type-Options"] == "nosniff"
    refused = client.options(
        "/v1/demo",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert refused.status_code == 400
    assert refused.json()["type"] == "/problems/bad-request"
    assert refused.json()["request_id"] == refused.headers["X-Request-ID"]
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert client.get("/v1/nowhere", headers=origin).headers["Access-Control-Allow-Origin"]
    stranger = client.get("/v1/demo", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in stranger.headers


def test_a_deprecated_version_says_when_it_ends(garden: Garden, sqlite_url: str) -> None:
    """Every answer of a deprecated version carries Deprecation, Sunset and its successor."""
    garden.plant("demo", SOURCE)
    versions = {"versions": {"v1": {"deprecated": "2026-11-01", "sunset": "2027-11-01"}}}
    with serving(sqlite_url, "demo", api=versions) as client:
        for path in ("/v1/demo", "/v1/nowhere"):
            headers = client.get(path).headers
            assert headers["Deprecation"] == "@1793491200"  # 2026-11-01T00:00:00Z, RFC 9745
            assert headers["Sunset"] == "Mon, 01 Nov 2027 00:00:00 GMT"
            assert headers["Link"] == '</v2>; rel="successor-version"'
        assert "Deprecation" not in client.get("/v2/demo").headers
        assert client.get("/").json()["versions"]["v1"]["sunset"] == "2027-11-01"


def test_an_override_reaches_every_version(garden: Garden, sqlite_url: str) -> None:
    """A dependency overridden on the application is overridden in v1 and in v2."""
    garden.plant(
        "demo",
        minimal(
            "demo",
            """
            async def number() -> int:
                return 1

            def make():
                router = APIRouter(prefix="/demo", dependencies=[public])

                @router.get("")
                async def read(n: Annotated[int, Depends(number)]) -> int:
                    return n

                return router

            @hookimpl
            def routers(version):
                return [make()]
            """,
        ),
    )
    with serving(sqlite_url, "demo") as client:
        import planted_demo.module as planted  # type: ignore[import-not-found]

        async def other() -> int:
            return 42

        client.app.dependency_overrides[planted.number] = other  # type: ignore[attr-defined]
        assert [client.get(f"/{v}/demo").json() for v in ("v1", "v2")] == [42, 42]


def test_a_browser_gets_a_page_and_a_program_gets_json(client: TestClient) -> None:
    """The front page and the problem pages are HTML for a browser, JSON for everybody else."""
    for path in ("/", "/problems", "/problems/conflict"):
        page = client.get(path, headers={"Accept": "text/html,application/xhtml+xml"})
        assert page.headers["Content-Type"].startswith("text/html")
        assert "Accept" in page.headers["Vary"].split(", ")
        assert client.get(path).headers["Content-Type"] == "application/json"


def test_docs_fetch_nothing_from_elsewhere(client: TestClient) -> None:
    """Swagger UI and ReDoc come from this server: no address of another host in their pages."""
    for path in ("/v1/docs", "/v2/redoc"):
        page = client.get(path).text
        assert "http://" not in page.replace("http://www.w3.org", "")
        assert "https://" not in page
    assert client.get("/v1/assets/swagger-ui-bundle.js").status_code == 200


def test_docs_are_off_in_production_unless_asked_for(garden: Garden, sqlite_url: str) -> None:
    """With docs switched off there is neither page nor schema, and the front page names none."""
    garden.plant("demo", SOURCE)
    with serving(sqlite_url, "demo", server={"docs": False}) as client:
        for page in ("docs", "redoc", "openapi.json"):
            assert client.get(f"/v1/{page}").status_code == 404
        assert "docs" not in client.get("/").json()["versions"]["v1"]


def test_a_version_has_a_front_page_of_its_own(client: TestClient) -> None:
    """``/v1``, where the front page and the successor link lead, says where its documents are."""
    document = client.get("/v1").json()
    assert document["version"] == "v1"
    for name in ("docs", "redoc", "openapi"):
        assert client.get(document[name]).status_code == 200


@pytest.mark.parametrize("path", ["/v1/nowhere", "/v1/demo/no/socket", "/nowhere", "/v7/x"])
def test_a_socket_that_is_not_there_is_a_problem_too(client: TestClient, path: str) -> None:
    """The handshake of a socket at an unknown path is answered with the 404 problem."""
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(path):
        pass
    assert denied.value.status_code == 404
    assert denied.value.headers["X-Request-ID"]
    assert denied.value.json()["type"] == "/problems/not-found"


def test_the_ground_type_explains_its_own_slug(client: TestClient) -> None:
    """A module's subclass that keeps its parent's slug does not take the explanation over."""
    assert client.get("/problems/not-found").json()["title"] == "Not found"
