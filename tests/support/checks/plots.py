"""How a fault and its look-alike are planted for `check`.

The line that a finding must name is marked with ``#<``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import dedent, indent
from typing import Any

from core.checks.finding import Finding
from core.checks.run import run
from core.settings import Settings
from tests.support.plants import Garden, minimal

MARK = "#<"
KEY = "kR7-vZq2_wXe9TbN4mYc8LsJ1hGd6fPa0uQo3i"
SAFE: Mapping[str, Any] = {
    "app": {"secret_key": KEY},
    "server": {"trusted_proxies": ["10.0.0.1"]},
    "database": {"url": "postgresql+asyncpg://shop:r4nd0mly-typed@db/shop"},
}
"""Settings with which production may start, and nothing to say of them."""


@dataclass(frozen=True)
class Plot:
    """What is planted: module `bad`, other modules, files, settings."""

    source: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    deploy: bool = False
    prepare: Callable[[Garden], Mapping[str, str] | None] | None = None

    def findings(self, garden: Garden) -> list[Finding]:
        """What `check` says of it."""
        for name, source in self.others.items():
            garden.plant(name, source)
        if self.source:
            garden.plant("bad", self.source)
            for path, content in self.files.items():
                garden.file("planted_bad", path, content)
        origins = self.prepare(garden) if self.prepare else None
        names = [*self.others, *(["bad"] if self.source else [])]
        modules = {name: {"enabled": True} for name in names}
        modules = {**self.settings.get("modules", {}), **modules}
        settings = Settings.for_tests(**{**self.settings, "modules": modules})
        settings._origins.update(origins or {})
        return run(settings, deploy=self.deploy)

    def marked(self) -> list[str]:
        """The places that are marked."""
        texts = {"module.py": self.source, **{p: dedent(t) for p, t in self.files.items()}}
        return [
            f"planted_bad/{path}:{number}"
            for path, text in texts.items()
            # The garden dedents what it plants; a first line that is empty stays.
            for number, line in enumerate(dedent(text).splitlines(), 1)
            if MARK in line
        ]


@dataclass(frozen=True)
class Case:
    """A fault and its look-alike."""

    code: str
    name: str
    bad: Plot
    good: Plot
    at: str = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.name}"


def module(body: str, **options: str) -> str:
    """The source of module `bad`."""
    return minimal("bad", dedent(body), **options)


def routed(routes: str, head: str = "") -> str:
    """The source of module `bad` with these routes below /v1/bad."""
    return module(
        dedent(head)
        + "\ndef make():\n    router = APIRouter(prefix='/bad', dependencies=[public])\n"
        + indent(dedent(routes), "    ")
        + "\n    return router\n\n"
        + "@hookimpl\ndef routers(version):\n    return [make()] if version == 'v1' else []\n"
    )


def settings(**sections: Mapping[str, Any]) -> Mapping[str, Any]:
    """Safe settings with these changes."""
    return {**SAFE, **{name: {**SAFE.get(name, {}), **s} for name, s in sections.items()}}


def deployed(**sections: Mapping[str, Any]) -> Plot:
    """A deployment without modules, judged as production."""
    return Plot(settings=settings(**sections), deploy=True)


def routes(
    code: str, name: str, *, bad: str, good: str, head: str = "", silence: Sequence[str] = ()
) -> Case:
    """A case in a module's routes, without what else may be said of their head."""
    settings = {"check": {"silence": silence}}
    return Case(
        code,
        name,
        Plot(routed(bad, head), settings=settings),
        Plot(routed(good, head), settings=settings),
    )


def bodies(code: str, name: str, *, bad: str, good: str) -> Case:
    """A case in a module's code, without routes."""
    return Case(code, name, Plot(module(bad)), Plot(module(good)))
