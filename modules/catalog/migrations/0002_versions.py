"""A version a product, raised with each of its changes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


# SQLite knows these two ALTERs; a batch would make the table anew, without its checks.
def upgrade() -> None:
    op.add_column(
        "catalog_products",
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False),
    )


def downgrade() -> None:
    op.drop_column("catalog_products", "version")
