"""Payloads that are made up for golden files."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, EmailStr, Field, field_validator

from core.errors import Refused
from core.events.samples import sample_of
from core.plugin import Event


class Colour(StrEnum):
    """One of two."""

    RED = "red"
    BLUE = "blue"


class Node(BaseModel):
    """It may lead back to itself."""

    name: str
    next: Node | None = None
    more: tuple[Node, ...] = ()


class Everything(Event, type="shop.everything_sold.v1", aggregate="thing", key="id"):
    """A field of each kind."""

    id: int
    number: Annotated[int, Field(gt=5, le=9)]
    step: Annotated[int, Field(ge=10, multiple_of=10)]
    share: Annotated[float, Field(gt=0, lt=1)]
    price: Decimal
    on: bool
    code: Annotated[str, Field(min_length=8, max_length=8)]
    email: EmailStr
    at: datetime
    day: date
    took: timedelta
    which: UUID
    colour: Colour
    kind: Literal["a", "b"]
    maybe: int | None
    pair: tuple[int, str]
    many: Annotated[tuple[int, ...], Field(min_length=3)]
    by_name: dict[str, Node]
    node: Node
    shown: str = Field(examples=["as an author shows it"])


def test_a_payload_has_every_field_and_decodes() -> None:
    """Each field is there with a value of its type and bounds; nothing optional is empty."""
    made = sample_of(Everything)
    assert set(made) == set(Everything.model_fields)
    assert Everything.model_validate(made).which
    assert made["maybe"] is not None
    assert len(made["many"]) == 3
    assert made["shown"] == "as an author shows it"


class Odd(Event, type="shop.odd_sold.v1", aggregate="thing", key="id"):
    """Nobody can guess what it wants."""

    id: int
    code: str

    @field_validator("code")
    @classmethod
    def _odd(cls, value: Any) -> Any:
        if value != "42-A":
            raise ValueError("must be 42-A")
        return value


def test_what_cannot_be_made_up_is_refused_with_the_way_out() -> None:
    """A field with a rule of its own: one line names it, and how to give a payload."""
    with pytest.raises(Refused, match=r"shop\.odd_sold\.v1.*code: .*42-A.*--payload"):
        sample_of(Odd)
