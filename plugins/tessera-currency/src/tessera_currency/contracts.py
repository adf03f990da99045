"""What other modules may use of currency."""

from __future__ import annotations

from core.plugin import Unprocessable


class NoRate(Unprocessable):
    """Nobody here knows a rate for this currency. GET /v2/currency/rates lists those that are."""

    slug = "no-rate"
    title = "There is no rate for this currency"
