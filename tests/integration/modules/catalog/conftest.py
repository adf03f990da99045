"""A shop for the tests of one file, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.shop import Shop, fresh_database, open_shop


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """Shared by the tests of a file: each makes the products and orders that it speaks of."""
    with (
        fresh_database(request.param, tmp_path_factory.mktemp("shop")) as url,
        open_shop(url) as shop,
    ):
        yield shop
