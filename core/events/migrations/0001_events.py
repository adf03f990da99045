"""What was recorded, who subscribes, what is to be delivered, and who works on it."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PENDING = sa.text("state = 'pending'")
REFUSED = sa.text("attempts > 0 AND state <> 'published'")
FAILED = sa.text("attempts > 0")


def upgrade() -> None:
    op.create_table(
        "core_deliveries",
        sa.Column("group_name", AutoString(length=20), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("aggregate_type", AutoString(length=64), nullable=False),
        sa.Column("aggregate_id", AutoString(length=64), nullable=False),
        sa.Column("aggregate_version", sa.BigInteger(), nullable=False),
        sa.Column("bucket", sa.SmallInteger(), nullable=False),
        sa.Column("state", AutoString(length=7), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("available_at", UTCDateTime(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'dead')", name=op.f("ck_core_deliveries_state")),
        sa.PrimaryKeyConstraint("group_name", "seq", name=op.f("pk_core_deliveries")),
    )
    op.create_index(
        "ix_core_deliveries_key",
        "core_deliveries",
        ["group_name", "aggregate_type", "aggregate_id", "aggregate_version"],
    )
    op.create_index(
        "ix_core_deliveries_pending",
        "core_deliveries",
        ["group_name", "seq"],
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    )
    op.create_index(
        "ix_core_deliveries_failed",
        "core_deliveries",
        ["group_name", "aggregate_type", "aggregate_id", "aggregate_version"],
        sqlite_where=FAILED,
        postgresql_where=FAILED,
    )

    op.create_table(
        "core_group_types",
        sa.Column("type", AutoString(length=90), nullable=False),
        sa.Column("group_name", AutoString(length=20), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("type", "group_name", name=op.f("pk_core_group_types")),
    )
    op.create_table(
        "core_groups",
        sa.Column("name", AutoString(length=20), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_core_groups")),
    )
    op.create_table(
        "core_pruned_types",
        sa.Column("type", AutoString(length=90), nullable=False),
        sa.Column("until", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("type", name=op.f("pk_core_pruned_types")),
    )
    op.create_table(
        "core_inbox",
        sa.Column("group_name", AutoString(length=20), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("group_name", "event_id", name=op.f("pk_core_inbox")),
    )
    op.create_index("ix_core_inbox_received_at", "core_inbox", ["received_at"])
    op.create_table(
        "core_leases",
        sa.Column("kind", AutoString(length=20), nullable=False),
        sa.Column("bucket", sa.SmallInteger(), nullable=False),
        sa.Column("owner", AutoString(length=64), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "bucket", name=op.f("pk_core_leases")),
    )
    op.create_table(
        "core_members",
        sa.Column("kind", AutoString(length=20), nullable=False),
        sa.Column("owner", AutoString(length=64), nullable=False),
        sa.Column("seen_until", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "owner", name=op.f("pk_core_members")),
    )
    op.create_table(
        "core_outbox",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("type", AutoString(length=90), nullable=False),
        sa.Column("aggregate_type", AutoString(length=64), nullable=False),
        sa.Column("aggregate_id", AutoString(length=64), nullable=False),
        sa.Column("aggregate_version", sa.BigInteger(), nullable=False),
        sa.Column("bucket", sa.SmallInteger(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("state", AutoString(length=9), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("available_at", UTCDateTime(), nullable=False),
        sa.Column("published_at", UTCDateTime(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'published', 'dead')", name=op.f("ck_core_outbox_state")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_core_outbox")),
        sa.UniqueConstraint(
            "aggregate_type",
            "aggregate_id",
            "aggregate_version",
            name=op.f("uq_core_outbox_aggregate_type_aggregate_id_aggregate_version"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_core_outbox_refused",
        "core_outbox",
        ["aggregate_type", "aggregate_id"],
        sqlite_where=REFUSED,
        postgresql_where=REFUSED,
    )
    op.create_index(
        "ix_core_outbox_pending",
        "core_outbox",
        ["seq"],
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    )

    op.create_table(
        "core_versions",
        sa.Column("aggregate_type", AutoString(length=64), nullable=False),
        sa.Column("aggregate_id", AutoString(length=64), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("aggregate_type", "aggregate_id", name=op.f("pk_core_versions")),
    )


def downgrade() -> None:
    op.drop_table("core_versions")

    op.drop_table("core_outbox")
    op.drop_table("core_members")
    op.drop_table("core_leases")
    op.drop_table("core_inbox")
    op.drop_table("core_pruned_types")
    op.drop_table("core_groups")
    op.drop_table("core_group_types")

    op.drop_table("core_deliveries")
