"""A shop for the tests of one file, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.databases import KINDS, empty_database
from tests.support.shop import Shop, open_shop


@pytest.fixture(scope="module", params=KINDS)
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """Shared by the tests of a file: each makes the products and orders that it speaks of."""
    folder = tmp_path_factory.mktemp("shop")
    with empty_database(request.param, folder) as url, open_shop(url) as opened:
        yield opened
