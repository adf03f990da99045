"""What Prometheus is told."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.support.apps import serving
from tests.support.plants import Garden, with_route


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
