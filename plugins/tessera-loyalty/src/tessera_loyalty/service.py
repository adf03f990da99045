"""The rules of loyalty."""

from __future__ import annotations

from collections.abc import Sequence

from core.plugin import Context, Session, WritableSession
from modules.orders.contracts import DraftLine, OrderDraft
from tessera_loyalty import repository
from tessera_loyalty.contracts import AccountDTO, TooManyPoints
from tessera_loyalty.redeeming import Redemption, redeem
from tessera_loyalty.settings import MAX_POINTS, LoyaltySettings

MINOR = 100
"""Minor units in a unit, as everywhere in Tessera."""


class LoyaltyService:
    """Accounts of points, and what orders do with them."""

    def __init__(self, context: Context) -> None:
        self._settings = context.settings_as(LoyaltySettings)

    def value_minor(self, account: AccountDTO) -> int:
        """What an account is worth, in minor units of `currency`."""
        return account.points * self._settings.point_value_minor

    @property
    def currency(self) -> str:
        """The currency in which points are earned and spent."""
        return self._settings.currency

    async def account(self, session: Session, user_id: int) -> AccountDTO:
        """Somebody's points; whoever never had any has none."""
        found = await repository.find(session, user_id)
        return found or AccountDTO(user_id, points=0, redeem=False)

    async def set_redeem(
        self, session: WritableSession, user_id: int, *, redeem: bool
    ) -> AccountDTO:
        """Let somebody's points pay the next orders, or not."""
        return await repository.lock(session, user_id, redeem=redeem)

    async def grant(self, session: WritableSession, user_id: int, points: int) -> AccountDTO:
        """Give points away. Raises TooManyPoints when the account cannot hold them."""
        account = await repository.lock(session, user_id)
        if account.points + points > MAX_POINTS:
            raise TooManyPoints(
                f"An account holds {MAX_POINTS} points at most, this one has {account.points}.",
                points=account.points,
            )
        return await repository.move(session, account, {"granted": points})

    async def price(self, session: WritableSession, draft: OrderDraft) -> Sequence[DraftLine]:
        """The lines of an order after points have paid; what remains to be paid earns points."""
        if draft.currency != self._settings.currency:
            return draft.lines
        account = await repository.lock(session, draft.user_id)
        redemption = self._redeemed(account, draft)
        earned = self._earned(sum(line.total_minor for line in redemption.lines))
        kept = account.points - redemption.spent
        await repository.move(
            session,
            account,
            {"spent": -redemption.spent, "earned": min(earned, MAX_POINTS - kept)},
        )
        return redemption.lines

    def _redeemed(self, account: AccountDTO, draft: OrderDraft) -> Redemption:
        if not account.redeem:
            return Redemption(draft.lines, 0)
        return redeem(
            draft.lines,
            points=account.points,
            value_minor=self._settings.point_value_minor,
            percent=self._settings.redeem_percent,
        )

    def _earned(self, paid_minor: int) -> int:
        return paid_minor * self._settings.points_per_unit // MINOR
