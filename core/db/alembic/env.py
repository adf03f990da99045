"""The one Alembic environment: `core.db.migrations` hands it a connection and one module's names.

It lies inside the package so that it is in the wheel, where `tessera db` finds it.
"""

from __future__ import annotations

from alembic import context

from core.db.differences import comparison, render_item
from core.db.migrations import refuse_autocommit

config = context.config
connection = config.attributes["connection"]
watch = config.attributes.get("watch")

context.configure(
    connection=connection,
    version_table=config.attributes["version_table"],
    **comparison(),
    target_metadata=config.attributes["metadata"](),
    include_name=config.attributes["include_name"],
    include_object=config.attributes["include_object"],
    render_item=render_item,
    on_version_apply=watch.applied if watch else None,
    # SQLite alters a table by making it anew; Alembic calls that a batch.
    render_as_batch=connection.dialect.name == "sqlite",
    # Alembic thinks that SQLite cannot do it: the driver's own BEGIN could not, ours can.
    transactional_ddl=True,
)
# Alembic's own commits what the migrations before it did, and what it does cannot be taken back.
context.get_context().autocommit_block = refuse_autocommit  # type: ignore[method-assign]
with context.begin_transaction():
    if watch:
        watch.begin(connection)
    context.run_migrations()
