"""The rules of loyalty."""

from __future__ import annotations

from collections.abc import Sequence

from core.plugin import Context, Session, WritableSession
from modules.orders.contracts import DraftLine, OrderDraft, OrderDTO
from tessera_loyalty import repository
from tessera_loyalty.contracts import AccountDTO, TooManyPoints
from tessera_loyalty.redeeming import Redemption, redeem
from tessera_loyalty.repository import Reason
from tessera_loyalty.settings import MAX_POINTS, LoyaltySettings

MINOR = 100
"""Minor units in a unit, as everywhere in Tessera."""
PRICED = "loyalty.priced"
"""Where an order's session keeps the locked account and the points spent, until it has an id."""


class LoyaltyService:
    """Accounts of points, and what orders do with them."""

    def __init__(self, context: Context) -> None:
        self._settings = context.settings_as(LoyaltySettings)

    def value_minor(self, account: AccountDTO) -> int:
        """What an account is worth, in minor units of `currency`; nothing while it owes points."""
        return max(account.points, 0) * self._settings.point_value_minor

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
        """The lines of an order after points have paid; `settle` moves the points."""
        if draft.currency != self._settings.currency:
            return draft.lines
        account = await repository.lock(session, draft.user_id)
        redemption = self._redeemed(account, draft)
        session.info[PRICED] = account, redemption.spent
        return redemption.lines

    async def settle(self, session: WritableSession, order: OrderDTO) -> None:
        """Take the points that paid for an order; what remains to be paid earns some."""
        priced: tuple[AccountDTO, int] | None = session.info.pop(PRICED, None)
        if priced is None:
            return
        account, spent = priced
        room = MAX_POINTS - account.points + spent
        moved: dict[Reason, int] = {
            "spent": -spent,
            "earned": min(self._earned(order.total_minor), room),
        }
        await repository.move(session, account, moved, order_id=order.id)

    async def cancel(self, session: WritableSession, user_id: int, *, order_id: int) -> None:
        """Move back what an order moved; what it earned and is spent by now is owed.

        Points that the account cannot hold do not come back. A second time there is nothing left.
        """
        account = await repository.lock_known(session, user_id)
        if account is None:  # deleted, with all that moved; or never had any
            return
        moved = await repository.moved_by(session, user_id, order_id=order_id)
        earned, spent = moved.get("earned", 0), -moved.get("spent", 0)
        room = MAX_POINTS - account.points + earned
        back: dict[Reason, int] = {"earned": -earned, "spent": min(spent, room)}
        await repository.move(session, account, back, order_id=order_id)

    def _redeemed(self, account: AccountDTO, draft: OrderDraft) -> Redemption:
        if not account.redeem or account.points <= 0:
            return Redemption(draft.lines, 0)
        return redeem(
            draft.lines,
            points=account.points,
            value_minor=self._settings.point_value_minor,
            percent=self._settings.redeem_percent,
        )

    def _earned(self, paid_minor: int) -> int:
        return paid_minor * self._settings.points_per_unit // MINOR
