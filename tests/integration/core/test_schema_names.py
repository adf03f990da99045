"""What a stranger calls its schemas and functions renames nothing of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from core.testing import AppFactory
from tests.support.plants import Garden, minimal

RIVAL = """
from pydantic import BaseModel


class Product(BaseModel):
    rival: int


class ProductPage(BaseModel):
    rivals: list[Product]


class Problem(BaseModel):
    what: str


@hookimpl
def routers(version):
    router = APIRouter(prefix="/{id}", dependencies=[public])

    @router.get("")
    async def read() -> ProductPage:
        return ProductPage(rivals=[])

    @router.get("/first")
    def first() -> Problem:
        return Problem(what="none")

    other = APIRouter(prefix="/{id}-too", dependencies=[public])

    @other.get("")
    async def read() -> Product:
        return Product(rival=1)

    return [router, other]
"""


def references(part: Any) -> Iterator[str]:
    """Every $ref of a document."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def schema_of(app_factory: AppFactory, version: str, *modules: str) -> dict[str, Any]:
    document: dict[str, Any] = app_factory([*modules]).client(version).get("/openapi.json").json()
    return document


@pytest.fixture
def rivals(garden: Garden) -> None:
    """Two strangers with the very same names, one of them loaded before ours."""
    for name in ("alien", "other"):
        garden.plant(name, minimal(name, RIVAL.replace("{id}", name)))


@pytest.mark.usefixtures("rivals")
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_ours_keep_their_names(app_factory: AppFactory, version: str) -> None:
    """With strangers of the same class names, all that ours say of their routes is as without."""
    alone = schema_of(app_factory, version, "catalog")
    beside = schema_of(app_factory, version, "alien", "catalog", "other")
    assert "Product" in alone["components"]["schemas"]
    for path, item in alone["paths"].items():
        assert beside["paths"][path] == item
    for name, schema in alone["components"]["schemas"].items():
        assert beside["components"]["schemas"][name] == schema


@pytest.mark.usefixtures("rivals")
def test_theirs_are_told_apart(app_factory: AppFactory) -> None:
    """Every reference leads somewhere, a stranger's to its own class; no two operations share an
    id."""
    document = schema_of(app_factory, "v2", "alien", "catalog", "other")
    schemas = document["components"]["schemas"]
    assert {it.rpartition("/")[2] for it in references(document)} <= set(schemas)
    for name in ("alien", "other"):
        answer = document["paths"][f"/{name}-too"]["get"]["responses"]["200"]
        [reference] = references(answer)
        assert set(schemas[reference.rpartition("/")[2]]["properties"]) == {"rival"}
        [problem] = references(document["paths"][f"/{name}/first"]["get"]["responses"]["200"])
        assert set(schemas[problem.rpartition("/")[2]]["properties"]) == {"what"}
    ids = [op["operationId"] for item in document["paths"].values() for op in item.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.usefixtures("rivals")
def test_a_name_that_nobody_contests_is_short(app_factory: AppFactory) -> None:
    """Of strangers alone the first has the short name; core's Problem stays core's."""
    schemas = schema_of(app_factory, "v2", "alien", "other")["components"]["schemas"]
    assert "rival" in schemas["Product"]["properties"]
    assert "instance" in schemas["Problem"]["properties"]
    alone = schema_of(app_factory, "v2", "alien")["components"]["schemas"]
    assert set(alone) == {"Problem", "Product", "ProductPage", "OwnProblem"}
