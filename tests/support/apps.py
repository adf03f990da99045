"""Applications for tests: settings by keyword, migrated, started, with a client in front."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi.testclient import TestClient

from core.app import Tessera, create_app
from core.settings import Settings


def settings_for(database_url: str, *modules: str, **sections: Any) -> Settings:
    """Settings that enable `modules`; further sections by keyword."""
    chosen: dict[str, Any] = {module: {"enabled": True} for module in modules}
    for module, options in sections.pop("modules", {}).items():
        chosen[module] = {"enabled": True, **chosen.get(module, {}), **options}
    database = {"url": database_url, **sections.pop("database", {})}
    return Settings.for_tests(database=database, modules=chosen, **sections)


def app_for(database_url: str, *modules: str, **sections: Any) -> Tessera:
    """An application of these modules that migrates when it starts."""
    return create_app(settings_for(database_url, *modules, **sections), migrate=True)


@contextmanager
def serving(database_url: str, *modules: str, **sections: Any) -> Iterator[TestClient]:
    """A client of a started application; ``client.app`` is the application."""
    with TestClient(app_for(database_url, *modules, **sections)) as client:
        yield client
