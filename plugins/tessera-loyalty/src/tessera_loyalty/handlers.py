"""What loyalty does when something happened to a user."""

from __future__ import annotations

from core.plugin import Delivery, WritableSession
from modules.users.events import UserDeleted
from tessera_loyalty import repository


async def user_deleted(session: WritableSession, event: UserDeleted, _: Delivery) -> None:
    """Points go with whom they belonged to. No foreign key reaches across modules; this does."""
    await repository.forget(session, event.user_id)
