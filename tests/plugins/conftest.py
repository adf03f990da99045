"""Wheels of the host and its plugins, built once for all tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.environments import build_host, build_plugin


@dataclass(frozen=True)
class Wheels:
    """The files that would be published."""

    host: Path
    loyalty: Path
    currency: Path


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """All three, of the sources as they are."""
    folder = tmp_path_factory.mktemp("wheels")
    return Wheels(
        host=build_host(folder),
        loyalty=build_plugin("tessera-loyalty", folder),
        currency=build_plugin("tessera-currency", folder),
    )
