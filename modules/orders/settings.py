"""The settings of the orders."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MOST_LINES = 1000
"""No setting allows more lines in an order than this."""


class OrdersSettings(BaseModel):
    """``[modules.orders]``"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_lines: int = Field(
        default=100, ge=1, le=MOST_LINES, description="lines that one placed order may have"
    )
