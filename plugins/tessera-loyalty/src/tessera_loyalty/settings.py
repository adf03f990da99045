"""The settings of loyalty."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from core.plugin import Currency

MAX_POINTS = 10_000_000_000
"""What one account can hold; worth 10**13 minor units at most, which v2 can still write."""


class LoyaltySettings(BaseModel):
    """``[modules.loyalty]``"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: Currency = Field(
        "USD", description="the currency in which points are earned and spent"
    )
    points_per_unit: int = Field(
        1, ge=0, le=1000, description="points for one whole unit of that currency"
    )
    point_value_minor: int = Field(
        1, ge=1, le=1000, description="what a point is worth, in minor units"
    )
    redeem_percent: int = Field(
        100, ge=1, le=100, description="how much of an order points may pay, in percent"
    )
