"""Bodies of version 1: money is cents, with the currency beside."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import ConfigDict, Field

from core.plugin import Id, Schema
from tessera_loyalty.contracts import AccountDTO
from tessera_loyalty.service import LoyaltyService
from tessera_loyalty.settings import MAX_POINTS


class Account(Schema):
    """Somebody's points and what they are worth."""

    user_id: int
    points: int
    value_cents: int
    currency: str
    redeem: bool

    @classmethod
    def of(cls, account: AccountDTO, loyalty: LoyaltyService) -> Self:
        """The account as version 1 shows it."""
        return cls(
            user_id=account.user_id,
            points=account.points,
            value_cents=loyalty.value_minor(account),
            currency=loyalty.currency,
            redeem=account.redeem,
        )


class Redeeming(Schema):
    """Whether points pay the next orders."""

    model_config = ConfigDict(strict=True)

    redeem: bool


class Grant(Schema):
    """Points for somebody."""

    model_config = ConfigDict(strict=True)

    user_id: Id
    points: Annotated[int, Field(ge=1, le=MAX_POINTS)]


class Granted(Schema):
    """What was given, and what the account has now."""

    user_id: int
    points: int
    balance: int
