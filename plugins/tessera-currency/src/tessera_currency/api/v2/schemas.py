"""Bodies of version 2."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field, PlainSerializer

from core.plugin import Money, Schema

Rate = Annotated[Decimal, PlainSerializer(lambda rate: f"{rate.normalize():f}", return_type=str)]
"""A rate as text, without an exponent."""


class RateTable(Schema):
    """How much of each currency is worth the same."""

    rates: dict[str, Rate]


class Conversion(Schema):
    """An amount in another currency."""

    source: Annotated[Money, Field(serialization_alias="from")]
    target: Annotated[Money, Field(serialization_alias="to")]
    rate: Rate
