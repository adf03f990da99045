"""What may be asked of orders, the same in every version."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import ConfigDict, Field

from core.plugin import Id, Principal, Schema
from modules.orders.contracts import Status
from modules.orders.service import MAX_QUANTITY
from modules.orders.settings import MOST_LINES

Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY, description="pieces")]
WithStatus = Annotated[Status | None, Query(description="only orders that stand there")]


class LineWanted(Schema):
    """A product and how many of it."""

    model_config = ConfigDict(strict=True)

    product_id: Id
    quantity: Quantity


class OrderCreate(Schema):
    """What to order; the prices are those of the catalogue."""

    model_config = ConfigDict(strict=True)

    lines: Annotated[list[LineWanted], Field(min_length=1, max_length=MOST_LINES)]

    def wanted(self) -> list[tuple[int, int]]:
        """(product id, quantity) of each line."""
        return [(line.product_id, line.quantity) for line in self.lines]


class OrderPatch(Schema):
    """The state to take the order to; without one there is nothing to change."""

    status: Annotated[Status, Field(json_schema_extra={"x-required": "meant"})]


def whose(principal: Principal) -> int | None:
    """Whose orders the caller may see: only their own, or (None) everybody's."""
    return None if principal.can("orders:read-all") else principal.id
