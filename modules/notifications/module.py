"""Notifications as a module: mail by SMTP about what other modules say has happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from core.plugin import CheckContext, Context, Finding, Manifest, Subscription, hookimpl, on
from modules.notifications import handlers
from modules.notifications.checks import mail_that_nobody_gets, password_in_the_clear
from modules.notifications.composing import Composer
from modules.notifications.mailer import mailer_of
from modules.notifications.service import NotificationService
from modules.notifications.settings import NotificationsSettings, address_of
from modules.orders.events import OrderCreated
from modules.users.events import UserRegistered

NOBODY = "noreply@localhost"
"""The sender of mail that goes into files only."""


@hookimpl
def manifest() -> Manifest:
    return Manifest(
        id="notifications",
        version="1.0.0",
        requires=("users",),
        optional=("orders", "catalog"),
        summary="Mail about what happened: a welcome, and orders confirmed.",
    )


@hookimpl
def settings() -> type[BaseModel]:
    return NotificationsSettings


@hookimpl
def services() -> Mapping[type[Any], Callable[[Context], Any]]:
    return {NotificationService: make_service}


@hookimpl
def subscriptions() -> Sequence[Subscription]:
    return [
        on(UserRegistered, handlers.user_registered, transaction=False),
        on(OrderCreated, handlers.order_created, transaction=False),
    ]


@hookimpl
def checks() -> Sequence[Callable[[CheckContext], Iterable[Finding]]]:
    return [mail_that_nobody_gets, password_in_the_clear]


def make_service(context: Context) -> NotificationService:
    chosen = context.settings_as(NotificationsSettings)
    house = context.app.app.name
    sender = address_of(chosen.sender or NOBODY, name=house)
    return NotificationService(
        context,
        composer=Composer(sender=sender, house=house),
        mailer=mailer_of(chosen, handler_seconds=context.app.events.handler_seconds),
    )
