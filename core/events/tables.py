"""Core's own tables: what was recorded, who subscribes, what is still to be delivered."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from core.db.tables import BigId, table_registry

BUCKETS = 16
PENDING = text("state = 'pending'")
REFUSED = text("attempts > 0 AND state <> 'published'")
FAILED = text("attempts > 0")


class Base(SQLModel, registry=table_registry("core")):
    """The ground of core's tables."""


class Outbox(Base, table=True):
    """An event as its publisher's transaction left it; `published` once it is on its way to all.

    `attempts` counts how often a broker refused the message itself; after the last time it is dead,
    and later events of its aggregate wait for it. `headers` is a JSON object: its traceparent.
    """

    __tablename__ = "core_outbox"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'published', 'dead')", name="state"),
        UniqueConstraint("aggregate_type", "aggregate_id", "aggregate_version"),
        Index("ix_core_outbox_pending", "seq", sqlite_where=PENDING, postgresql_where=PENDING),
        Index(
            "ix_core_outbox_refused",
            "aggregate_type",
            "aggregate_id",
            sqlite_where=REFUSED,
            postgresql_where=REFUSED,
        ),
    )

    seq: int | None = BigId()
    id: UUID
    type: str = Field(max_length=90)
    aggregate_type: str = Field(max_length=64)
    aggregate_id: str = Field(max_length=64)
    aggregate_version: int = Field(sa_type=BigInteger)
    bucket: int = Field(sa_type=SmallInteger)
    payload: str = Field(sa_type=Text)
    headers: str = Field(sa_type=Text)
    state: str = Field(max_length=9)
    attempts: int
    created_at: datetime
    available_at: datetime
    published_at: datetime | None = None
    last_error: str | None = Field(default=None, sa_type=Text)


class Version(Base, table=True):
    """How many events an aggregate has had whose module counts no version of its own."""

    __tablename__ = "core_versions"

    aggregate_type: str = Field(primary_key=True, max_length=64)
    aggregate_id: str = Field(primary_key=True, max_length=64)
    version: int = Field(sa_type=BigInteger)


class Group(Base, table=True):
    """A subscribing module; it stays when the module is disabled, and its events wait."""

    __tablename__ = "core_groups"

    name: str = Field(primary_key=True, max_length=20)
    created_at: datetime


class GroupType(Base, table=True):
    """One event type that a group wants, and `since` when.

    Without a broker it is given all that is relayed from then on, however old. On Kafka what was
    recorded before `since` is passed by, less some seconds, by which clocks may differ; one that is
    yet to come counts for nothing.
    `version` is the newest of the module that said so: an older one knows no better.
    """

    __tablename__ = "core_group_types"

    type: str = Field(primary_key=True, max_length=90)
    group_name: str = Field(primary_key=True, max_length=20)
    since: datetime
    version: str | None = Field(default=None, max_length=64)


class PrunedType(Base, table=True):
    """Events of a type from before `until` are no longer all there to be replayed."""

    __tablename__ = "core_pruned_types"

    type: str = Field(primary_key=True, max_length=90)
    until: datetime


class DeliveryRow(Base, table=True):
    """What a group has yet to be given; the row goes in the transaction of the effect.

    `attempts` counts failures of the message itself; after the last one the row is dead, and later
    rows of the same aggregate wait for it.
    """

    __tablename__ = "core_deliveries"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'dead')", name="state"),
        Index(
            "ix_core_deliveries_key",
            "group_name",
            "aggregate_type",
            "aggregate_id",
            "aggregate_version",
        ),
        Index(
            "ix_core_deliveries_pending",
            "group_name",
            "seq",
            sqlite_where=PENDING,
            postgresql_where=PENDING,
        ),
        Index(
            "ix_core_deliveries_failed",
            "group_name",
            "aggregate_type",
            "aggregate_id",
            "aggregate_version",
            sqlite_where=FAILED,
            postgresql_where=FAILED,
        ),
    )

    group_name: str = Field(primary_key=True, max_length=20)
    seq: int = Field(sa_type=BigInteger, primary_key=True)
    aggregate_type: str = Field(max_length=64)
    aggregate_id: str = Field(max_length=64)
    aggregate_version: int = Field(sa_type=BigInteger)
    bucket: int = Field(sa_type=SmallInteger)
    state: str = Field(max_length=7)
    attempts: int
    available_at: datetime
    last_error: str | None = Field(default=None, sa_type=Text)


class InboxRow(Base, table=True):
    """What a group was given by a broker, so that a second time it is passed by."""

    __tablename__ = "core_inbox"
    __table_args__ = (Index("ix_core_inbox_received_at", "received_at"),)

    group_name: str = Field(primary_key=True, max_length=20)
    event_id: UUID = Field(primary_key=True)
    received_at: datetime


class Lease(Base, table=True):
    """Who works on a bucket, for the relay or for one group; `epoch` grows with each new owner."""

    __tablename__ = "core_leases"

    kind: str = Field(primary_key=True, max_length=20)
    bucket: int = Field(sa_type=SmallInteger, primary_key=True)
    owner: str = Field(max_length=64)
    epoch: int = Field(sa_type=BigInteger)
    lease_until: datetime


class Member(Base, table=True):
    """A process that would work on a kind; the buckets are divided among them."""

    __tablename__ = "core_members"

    kind: str = Field(primary_key=True, max_length=20)
    owner: str = Field(primary_key=True, max_length=64)
    seen_until: datetime


TABLES: tuple[type[SQLModel], ...] = (
    Outbox,
    Version,
    Group,
    GroupType,
    PrunedType,
    DeliveryRow,
    InboxRow,
    Lease,
    Member,
)
"""All of them, for core's revisions."""

_tables = Base.metadata.tables
outbox = _tables["core_outbox"]
versions = _tables["core_versions"]
groups = _tables["core_groups"]
group_types = _tables["core_group_types"]
pruned_types = _tables["core_pruned_types"]
deliveries = _tables["core_deliveries"]
inbox = _tables["core_inbox"]
leases = _tables["core_leases"]
members = _tables["core_members"]
