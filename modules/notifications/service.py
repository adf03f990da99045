"""Which mail is written when, and to whom."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from core.plugin import Context, Money, NotFound, ReadableSession
from modules.catalog.contracts import Catalog
from modules.notifications.composing import Composer
from modules.notifications.mailer import Mailer
from modules.orders.events import OrderCreated, OrderedLine
from modules.users.contracts import CredentialStore, UserDTO, Users
from modules.users.events import UserRegistered

log = structlog.get_logger("tessera.notifications")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an order as a mail shows it."""

    product: str
    quantity: int
    price: str
    total: str


class NotificationService:
    """Writes mails and hands them over. A user who is gone by then gets none."""

    def __init__(self, context: Context, *, composer: Composer, mailer: Mailer) -> None:
        self._context = context
        self._users = context.service(Users)  # type: ignore[type-abstract]
        self._composer = composer
        self._mailer = mailer

    async def welcome(self, event: UserRegistered, *, effect_id: str) -> None:
        """Greet somebody who has an account now and can sign in.

        An account without a password (others made it, to have a customer in the books) is none
        that anybody was waiting for. Raises Unavailable, MailRefused.
        """
        async with self._context.read() as session:
            user = await self._users.get(session, event.user_id)
            if user is None or not await self._can_sign_in(session, user):
                return
        await self._send("welcome", user, effect_id, subject=f"Welcome to {self._composer.house}")

    async def order_confirmation(self, event: OrderCreated, *, effect_id: str) -> None:
        """Tell whoever ordered what was ordered; imported history is told to nobody.

        Raises Unavailable, MailRefused.
        """
        if event.imported:
            return
        async with self._context.read() as session:
            user = await self._users.get(session, event.user_id)
            if user is None:
                return
            lines = [await self._line(session, it, event.currency) for it in event.lines]
        await self._send(
            "order_confirmation",
            user,
            effect_id,
            subject=f"Your order {event.order_id}",
            order_id=event.order_id,
            placed_at=event.placed_at,
            lines=lines,
            total=_shown(event.total_minor, event.currency),
        )

    async def _can_sign_in(self, session: ReadableSession, user: UserDTO) -> bool:
        store = self._context.find(CredentialStore)  # type: ignore[type-abstract]
        return store is None or await store.has_password(session, user.id)

    async def _line(self, session: ReadableSession, line: OrderedLine, currency: str) -> Line:
        return Line(
            product=await self._product(session, line.product_id),
            quantity=line.quantity,
            price=_shown(line.unit_price_minor, currency),
            total=_shown(line.total_minor, currency),
        )

    async def _product(self, session: ReadableSession, product_id: int) -> str:
        catalog = self._context.find(Catalog)  # type: ignore[type-abstract]
        try:
            if catalog is not None:
                return (await catalog.product(session, product_id)).name
        except NotFound:
            pass  # deleted since it was ordered
        return f"Product {product_id}"

    async def _send(
        self, template: str, user: UserDTO, effect_id: str, *, subject: str, **values: object
    ) -> None:
        message = self._composer.compose(
            template,
            name=user.name,
            email=user.email,
            subject=subject,
            effect_id=effect_id,
            values={"user": user, **values},
        )
        await self._mailer.send(message)
        log.info("mail sent", mail=template, user=user.id, message_id=message["Message-ID"])


def _shown(minor: int, currency: str) -> str:
    money = Money.of_minor(minor, currency)
    return f"{money.amount} {money.currency}"
