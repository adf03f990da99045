"""Money: an integer of minor units and a currency, never a float."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Currency = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z]{3}$"),
    Field(description="ISO 4217 code", examples=["USD"]),
]
"""An ISO 4217 currency code."""

MinorUnits = Annotated[int, Field(ge=0, le=10**14 - 1, description="amount in minor units (cents)")]
"""An amount in minor units: 1800 is 18.00."""

Amount = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,2})?$"),
    Field(description="decimal amount as text", examples=["18.00"]),
]


def round_half_up(amount: Decimal) -> int:
    """To the nearest whole minor unit, halves away from zero, as invoices are rounded."""
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


class Money(BaseModel):
    """An amount as v2 shows it: ``{"amount": "18.00", "currency": "USD"}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Amount
    currency: Currency

    @classmethod
    def of_minor(cls, minor: int, currency: str) -> Self:
        """From minor units: ``Money.of_minor(1800, "USD")`` is 18.00 USD."""
        return cls(amount=f"{minor // 100}.{minor % 100:02d}", currency=currency)

    @property
    def minor(self) -> int:
        """The amount in minor units."""
        whole, _, cents = self.amount.partition(".")
        return int(whole) * 100 + int(cents.ljust(2, "0") or 0)
