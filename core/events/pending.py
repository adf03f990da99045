"""Which events a relay may pass on: by state, never by ``seq > last``."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, exists, or_

from core.events.tables import outbox

_o = outbox.c
_earlier = outbox.alias("earlier")
# `attempts > 0 AND state <> 'published'` is the partial index of the few that were refused.
_behind_a_refused_one = exists().where(
    _earlier.c.attempts > 0,
    _earlier.c.state != "published",
    _earlier.c.aggregate_type == _o.aggregate_type,
    _earlier.c.aggregate_id == _o.aggregate_id,
    _earlier.c.aggregate_version < _o.aggregate_version,
)
RELAYABLE = (
    _o.state == "pending",
    _o.bucket.in_(bindparam("buckets", expanding=True)),
    or_(_o.attempts == 0, _o.available_at <= bindparam("now")),
    ~_behind_a_refused_one,
)
"""Conditions on the outbox. What was never tried needs no clock: those of two machines differ, and
a later event of an aggregate would go first. An event whose aggregate has an earlier one that a
broker has refused waits until that one is through, or was discarded."""


def relayable_in(buckets: Collection[int]) -> dict[str, Any]:
    """The values that `RELAYABLE` needs."""
    return {"buckets": list(buckets), "now": datetime.now(UTC)}
