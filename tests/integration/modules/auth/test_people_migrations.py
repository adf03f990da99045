"""The migrations of users and auth make what the models say."""

from __future__ import annotations

from core.app import Tessera
from core.db import migrations
from tests.support.apps import app_for


async def test_migrations_and_models_agree(database_url: str) -> None:
    """`db check` finds no difference, also after going all the way down and up again."""
    app: Tessera = app_for(database_url, "users", "auth")
    await app.start()
    try:
        assert app.resources is not None
        database = app.resources.database
        every = app.generation.registry.migrations()
        modules = [it for it in every if it.module in ("users", "auth")]
        assert await migrations.check(database, modules) == {}
        down = await migrations.downgrade(database, modules, target="base")
        assert [(r.module, r.after, r.failure) for r in down] == [
            ("auth", None, None),
            ("users", None, None),
        ]
        assert set(await migrations.check(database, modules)) == {"users", "auth"}
        await migrations.upgrade(database, modules)
        assert await migrations.check(database, modules) == {}
    finally:
        await app.stop()
