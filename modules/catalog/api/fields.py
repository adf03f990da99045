"""What may stand in a product's fields, the same in every version."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field, StringConstraints

from core.plugin import Text

Sku = Annotated[
    Text,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    Field(description="the shop's own number of the product", examples=["NW-01"]),
]
Name = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Category = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Stock = Annotated[int, Field(ge=0, le=10**12, description="pieces at hand")]

Search = Annotated[Text, Query(max_length=100, description="part of the name or the SKU")]
InCategory = Annotated[Text, Query(max_length=100, description="the whole name of a category")]
