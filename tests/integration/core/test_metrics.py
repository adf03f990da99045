"""What Prometheus is told."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.support.apps import serving
from tests.support.plants import Garden, minimal, with_route


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of a page, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_are_counted_by_module_version_route_and_status(
    garden: Garden, sqlite_url: str
) -> None:
    """Each answer counts once under its module, version, route, method and status."""
    garden.plant("good", with_route("good"))
    with serving(sqlite_url, "good") as client:
        for _ in range(3):
            client.get("/v1/good")
        client.post("/v1/good")
        found = samples(client.get("/metrics").text)
    labels = {"version": "v1", "module": "good", "route": "/good", "method": "GET"}
    assert found["tessera_requests_total", frozenset({**labels, "status": "200"}.items())] == 3
    assert found["tessera_request_seconds_count", frozenset(labels.items())] == 3
    refused = {"version": "v1", "module": "good", "route": "", "method": "", "status": "405"}
    assert found["tessera_requests_total", frozenset(refused.items())] == 1


def test_unknown_paths_make_no_new_series(garden: Garden, sqlite_url: str) -> None:
    """A thousand different paths that match no route share one series."""
    with serving(sqlite_url) as client:
        client.get("/v1/first")
        before = len(samples(client.get("/metrics").text))
        for number in range(50):
            client.get(f"/v1/nothing/{number}")
        assert len(samples(client.get("/metrics").text)) <= before + 20  # /metrics itself


OWN_ROUTES = """
from fastapi.routing import APIRoute
from starlette.routing import Match

class Later(APIRoute):
    def matches(self, scope):
        return super().matches(scope)

class Anything(APIRoute):
    def matches(self, scope):
        match, child = super().matches(scope)
        return (Match.NONE if match == Match.NONE else Match.FULL), child

    async def handle(self, scope, receive, send):
        await self.app(scope, receive, send)

def make(name, kind):
    router = APIRouter(prefix=f"/own/{name}", route_class=kind, dependencies=[public])

    @router.get("")
    async def read() -> str:
        return name

    return router

@hookimpl
def routers(version): return [make("later", Later), make("anything", Anything)]
"""


def test_unknown_methods_make_no_new_series(garden: Garden, sqlite_url: str) -> None:
    """A method that a path does not have is counted under no route and no method, whoever routes:
    core, a version's pages and what is mounted there, route classes of a module's own."""
    garden.plant("own", minimal("own", OWN_ROUTES))
    paths = ["/livez", "/metrics", "/v1", "/v1/docs", "/v1/assets/favicon.png"]
    paths += ["/v1/own/later", "/v1/own/anything"]
    with serving(sqlite_url, "own") as client:
        for path in paths:
            assert client.get(path).status_code == 200
            status = 200 if path == "/v1/own/anything" else 405
            for method in ("MKCOL", "PROPFIND", "DELETE"):
                assert client.request(method, path).status_code == status
        found = samples(client.get("/metrics").text)
    places = {
        (place["route"], place["method"])
        for name, labels in found
        if name == "tessera_requests_total" and (place := dict(labels))
    }
    own = {("/own/later", "GET"), ("/own/anything", "GET")}
    core = {(path, "GET") for path in ("/livez", "/metrics", "/", "/docs", "/assets")}
    assert places == {("", ""), *own, *core}


def test_modules_and_connections_are_told(garden: Garden, sqlite_url: str) -> None:
    """The state of each module and the connections in use are on the page, failed ones too."""
    garden.plant("good", with_route("good"))
    garden.plant("bad", "raise RuntimeError")
    with serving(sqlite_url, "good", "bad") as client:
        client.get("/readyz")
        found = samples(client.get("/metrics").text)
    state = "tessera_module_state"
    assert found[state, frozenset({("module", "good"), ("state", "enabled")})] == 1
    assert found[state, frozenset({("module", "bad"), ("state", "failed")})] == 1
    assert ("tessera_database_connections", frozenset({("use", "idle")})) in found
    assert found["tessera_requests_in_flight", frozenset()] == 1


def test_metrics_are_off_where_they_are_not_wanted(garden: Garden, sqlite_url: str) -> None:
    """Switched off there is no such page."""
    with serving(sqlite_url, server={"metrics": False}) as client:
        assert client.get("/metrics").status_code == 404
