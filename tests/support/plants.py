"""Plant a stranger's distribution: a real package with metadata, found as any installed one."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from pathlib import Path

import pytest


class Garden:
    """A folder on sys.path where a test plants distributions that offer modules."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        monkeypatch.syspath_prepend(str(folder))

    def plant(
        self,
        module_id: str,
        source: str,
        *,
        package: str | None = None,
        distribution: str | None = None,
    ) -> str:
        """A distribution with one module, made of `source`; gives the package's name."""
        name = package or f"planted_{module_id}"
        dist = distribution or f"planted-{module_id}"
        home = self.folder / name
        home.mkdir(exist_ok=True)
        (home / "__init__.py").write_text("")
        (home / "module.py").write_text(textwrap.dedent(source))
        info = self.folder / f"{dist.replace('-', '_')}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[tessera.modules]\n{module_id} = {name}.module\n")
        self._forget(name)
        return name

    def file(self, package: str, path: str, content: str) -> None:
        """Another file of a planted package."""
        target = self.folder / package / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(content))
        if target.suffix == ".py":  # one of the same length and second would count as compiled
            Path(importlib.util.cache_from_source(str(target))).unlink(missing_ok=True)

    def stand_in(self, folder: Path) -> None:
        """Make a folder the working folder until the test ends."""
        self._monkeypatch.chdir(folder)

    def _forget(self, package: str) -> None:
        for loaded in [m for m in sys.modules if m == package or m.startswith(f"{package}.")]:
            self._monkeypatch.delitem(sys.modules, loaded)
        importlib.invalidate_caches()


HEAD = """
from typing import Annotated
from fastapi import APIRouter, Depends
from core.plugin import *
"""


def minimal(module_id: str, body: str = "", *, manifest: str = "") -> str:
    """The source of a module with a manifest and `body`."""
    extra = f", {manifest}" if manifest else ""
    return (
        HEAD
        + f"""
@hookimpl
def manifest():
    return Manifest("{module_id}", "1.0"{extra})
"""
        + textwrap.dedent(body)
    )


def with_body(module_id: str) -> str:
    """What a module with a class ``Body`` takes it with: ``POST /<module_id>`` in every version."""
    return f"""
def make():
    router = APIRouter(prefix="/{module_id}", dependencies=[public])

    @router.post("")
    async def write(body: Body) -> int:
        return 1

    return router

@hookimpl
def routers(version): return [make()]
"""


def with_route(
    module_id: str, *, prefix: str | None = None, access: str = "public", options: str = ""
) -> str:
    """The source of a module with one route, ``GET /<prefix>`` in every version.

    `options` are further arguments of the route's decorator, as they would be written.
    """
    dependencies = f"dependencies=[{access}]" if access else ""
    return minimal(
        module_id,
        f"""
        def make():
            router = APIRouter(prefix="/{prefix or module_id}", tags=["{module_id}"])

            @router.get("", {dependencies}{", " * bool(dependencies and options)}{options})
            async def read() -> dict[str, str]:
                return {{"module": "{module_id}"}}

            return router

        @hookimpl
        def routers(version):
            return [make()]
        """,
    )
