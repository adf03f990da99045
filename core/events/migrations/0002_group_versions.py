"""Which version of a module wants a type: a process of an older one is not to take it away."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("core_group_types", sa.Column("version", AutoString(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("core_group_types", "version")
