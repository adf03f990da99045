"""What happens to users, for other modules to act on."""

from __future__ import annotations

from core.plugin import Event


class UserRegistered(Event, type="users.user_registered.v1", aggregate="user", key="user_id"):
    """Somebody has an account now."""

    user_id: int
    name: str
    email: str


class UserUpdated(Event, type="users.user_updated.v1", aggregate="user", key="user_id"):
    """A user's name, address, role or activity changed; ask `Users` for what it is now."""

    user_id: int


class UserDeleted(Event, type="users.user_deleted.v1", aggregate="user", key="user_id"):
    """A user is gone; what others keep of it is theirs to forget."""

    user_id: int
