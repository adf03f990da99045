"""The body of an import: orders as other systems write them down."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from core.plugin import Amount, Currency, Id, Money, Schema, Text, UtcTime
from modules.orders.api.fields import Quantity
from modules.orders.contracts import OrderLineDTO
from modules.orders.history import PastOrder
from modules.orders.pricing import MAX_TOTAL, WHOLE, line
from modules.orders.settings import MOST_LINES

MOST_ORDERS = 500
MAX_PRICE = MAX_TOTAL / 100


def _whole_in(steps: int) -> AfterValidator:
    """A number that is a whole count of 1/steps; read as it is written, not as it is stored."""

    def check(number: float) -> float:
        if Decimal(repr(number)) * steps % 1:
            raise ValueError(f"at most {len(str(steps)) - 1} decimals")
        return number

    return AfterValidator(check)


def _told_at_once(kind: str, sentence: str) -> WrapValidator:
    """One error for the whole field, where pydantic would tell of each form that it is not."""

    def check(sent: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(sent)
        except ValidationError:
            raise PydanticCustomError(kind, sentence) from None

    return WrapValidator(check)


def _count(number: str | float, steps: int) -> int:
    return int(Decimal(str(number)) * steps)


Number = Annotated[float, Field(strict=True, ge=0, le=MAX_PRICE, allow_inf_nan=False)]
UnitPrice = Annotated[
    Amount | Annotated[Number, _whole_in(100)] | Money,
    _told_at_once(
        "price",
        'a price is written "14.00", 14.0 or {"amount": "14.00", "currency": "USD"}: '
        "not negative, with a point and at most two decimals",
    ),
]
"""``"14.00"``, ``14.0`` or ``{"amount": "14.00", "currency": "USD"}``."""

Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
ShareText = Annotated[str, StringConstraints(pattern=r"^(0(\.[0-9]{1,4})?|1(\.0{1,4})?)$")]
Discount = Annotated[
    ShareText | Annotated[Share, _whole_in(WHOLE)],
    _told_at_once(
        "share",
        'a discount is a share of one, 0.15 or "0.15" for 15 %: '
        "from 0 to 1, with a point and at most four decimals",
    ),
]
"""A share of one with at most four decimals, as text or as a number."""


class PastLine(Schema):
    """A line at the price and the discount of its time."""

    product_id: Annotated[Id, Field(strict=True)]
    quantity: Annotated[Quantity, Field(strict=True)]
    unit_price: UnitPrice
    discount: Discount = 0.0

    def priced(self) -> OrderLineDTO:
        """In whole numbers, with its total."""
        price = self.unit_price.amount if isinstance(self.unit_price, Money) else self.unit_price
        return line(
            self.product_id,
            quantity=self.quantity,
            unit_price_minor=_count(price, 100),
            discount_bp=_count(self.discount, WHOLE),
        )


class PastOrderIn(Schema):
    """An order of the past; `external_ref` is its number where it comes from."""

    external_ref: Annotated[
        Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)
    ]
    customer_email: Annotated[Text, StringConstraints(min_length=3, max_length=254)]
    placed_at: UtcTime
    currency: Currency
    lines: Annotated[list[PastLine], Field(min_length=1, max_length=MOST_LINES)]

    @model_validator(mode="after")
    def _one_currency(self) -> Self:
        for one in self.lines:
            price = one.unit_price
            if isinstance(price, Money) and price.currency != self.currency:
                raise ValueError(f"a price in {price.currency} in an order in {self.currency}")
        return self

    def past(self, index: int) -> PastOrder:
        """In the orders' own terms."""
        return PastOrder(
            index=index,
            external_ref=self.external_ref,
            customer_email=self.customer_email,
            placed_at=self.placed_at,
            currency=self.currency,
            lines=tuple(one.priced() for one in self.lines),
        )


class Import(Schema):
    """At most 500 orders of the past."""

    orders: Annotated[list[PastOrderIn], Field(max_length=MOST_ORDERS)]

    def past(self) -> list[PastOrder]:
        """In the orders' own terms."""
        return [order.past(index) for index, order in enumerate(self.orders)]


class ImportResult(Schema):
    """How many orders were written, and how many were known already."""

    created: int
    skipped: int
