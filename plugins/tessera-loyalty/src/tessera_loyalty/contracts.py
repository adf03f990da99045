"""What other modules may use of loyalty."""

from __future__ import annotations

from dataclasses import dataclass

from core.plugin import Conflict


@dataclass(frozen=True, slots=True)
class AccountDTO:
    """Somebody's points; `redeem` says whether they pay the next orders."""

    user_id: int
    points: int
    redeem: bool


class TooManyPoints(Conflict):
    """The account would hold more points than an account can. `points` says what it holds."""

    slug = "too-many-points"
    title = "The account cannot hold so many points"
