"""Who is measured: Tessera as it is shipped, and applications written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.extras import packages
from bench.plants import plant, plant_many
from bench.server import Contender

PROOFS = {
    "users": "/v1/users",
    "auth": "/v1/auth/me",
    "catalog": "/v1/products",
    "orders": "/v1/orders",
    "cache": "/v1/cache/stats",
}
SHIPPED = tuple(PROOFS)
"""The modules that come with Tessera."""

SETTINGS = """
[app]
environment = "development"

[server]
access_log = false

[database]
url = "{url}"
"""


def bare() -> Contender:
    """An ASGI function: what Python, uvloop and httptools give at most."""
    return Contender("bare ASGI function", "bench.apps.bare:app")


def plain() -> Contender:
    """FastAPI with nothing around it."""
    return Contender("plain FastAPI", "bench.apps.plain:app")


def litestar() -> Contender:
    """Another framework."""
    return Contender("Litestar", "bench.apps.litestar:app", paths=[packages()])


NOWHERE = "postgresql+asyncpg://nobody@127.0.0.1:1/none"


def tutorial(url: str = NOWHERE) -> Contender:
    """FastAPI as many tutorials have it; it connects when a row is asked for."""
    return Contender(
        "tutorial style",
        "bench.apps.tutorial:app",
        environ={"BENCH_DATABASE_URL": url},
        paths=[packages()],
    )


def by_hand(app: str, *, url: str, **environ: str) -> Contender:
    """An application of bench/apps with its database."""
    return Contender(app, f"bench.apps.{app}", environ={"BENCH_DATABASE_URL": url, **environ})


def tessera(
    folder: Path, modules: Sequence[str], *, url: str = "", name: str = "Tessera"
) -> Contender:
    """main:app with the settings of a newcomer, but for the access log.

    `folder` is where it runs: settings.toml, var/ and planted distributions lie there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "var").mkdir(exist_ok=True)
    sections = "".join(f"\n[modules.{module}]\nenabled = true\n" for module in modules)
    chosen = url or "sqlite+aiosqlite:///var/tessera.db"
    (folder / "settings.toml").write_text(SETTINGS.format(url=chosen) + sections)
    proofs = [PROOFS[module] for module in modules if module in PROOFS]
    return Contender(name, "main:app", paths=[folder / "plants"], folder=folder, proofs=proofs)


def tessera_with_hello(folder: Path) -> Contender:
    """Tessera with a planted module of one empty route, beside all that is shipped."""
    plant(folder / "plants", "hello", routes=0)
    contender = tessera(folder, [*SHIPPED, "hello"])
    return replace(contender, proofs=[*contender.proofs, "/v1/hello"])


def tessera_with_many(
    folder: Path, count: int, *, routes: int, shipped: Sequence[str] = ()
) -> Contender:
    """Tessera with `count` planted modules of `routes` routes in each version."""
    names = plant_many(folder / "plants", count, routes=routes)
    contender = tessera(folder, [*shipped, *names], name=f"Tessera, {count} modules")
    return replace(contender, proofs=[*contender.proofs, *(f"/v1/{name}/7/r0" for name in names)])
