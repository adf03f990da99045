"""The order of a movement; an account may owe points that a cancelled order had earned."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NOT_NEGATIVE = "ck_loyalty_accounts_points_not_negative"


def upgrade() -> None:
    op.add_column("loyalty_movements", sa.Column("order_id", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_loyalty_movements_order_id"), "loyalty_movements", ["order_id"])
    with op.batch_alter_table("loyalty_accounts") as accounts:
        accounts.drop_constraint(op.f(NOT_NEGATIVE), type_="check")


def downgrade() -> None:
    op.execute("UPDATE loyalty_accounts SET points = 0 WHERE points < 0")
    with op.batch_alter_table("loyalty_accounts") as accounts:
        accounts.create_check_constraint(op.f(NOT_NEGATIVE), "points >= 0")
    op.drop_index(op.f("ix_loyalty_movements_order_id"), table_name="loyalty_movements")
    op.drop_column("loyalty_movements", "order_id")
