"""Routes of users in v1."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query

from core.plugin import (
    CurrentPrincipal,
    Offset,
    PathId,
    ReadSession,
    WriteSession,
    requires,
    service,
)
from modules.users.api.v1 import schemas
from modules.users.contracts import Role, UserDTO
from modules.users.service import MANAGE, UserService

Users = Annotated[UserService, service(UserService)]
"""The users of this generation."""

OfRole = Annotated[Role | None, Query(description="only those of this role")]
OfActivity = Annotated[bool | None, Query(description="only those that are active, or not")]

TAKEN: dict[int | str, dict[str, Any]] = {409: {"description": "the e-mail address is taken"}}
LAST_ADMIN: dict[int | str, dict[str, Any]] = {
    409: {"description": "the last active admin must stay"}
}


def router() -> APIRouter:
    """A fresh router; fixed paths stand before those with a parameter."""
    routes = APIRouter(prefix="/users", tags=["users"])
    signed_in: dict[str, Any] = {"dependencies": [requires()], "response_model": schemas.User}
    manager: dict[str, Any] = {"dependencies": [requires(MANAGE)]}
    managed: dict[str, Any] = {**manager, "response_model": schemas.User}
    listed: dict[str, Any] = {**manager, "response_model": list[schemas.User]}
    add, one = routes.add_api_route, "/{user_id}"
    add("", list_users, methods=["GET"], **listed)
    add("", create_user, methods=["POST"], status_code=201, responses=TAKEN, **managed)
    add("/me", show_me, methods=["GET"], **signed_in)
    add(one, show_user, methods=["GET"], **signed_in)
    add(one, change_user, methods=["PATCH"], responses=TAKEN, **signed_in)
    add(one, replace_user, methods=["PUT"], responses=TAKEN, **signed_in)
    add(one, delete_user, methods=["DELETE"], status_code=204, responses=LAST_ADMIN, **manager)
    add(f"{one}/role", set_role, methods=["PUT"], responses=LAST_ADMIN, **managed)
    add(f"{one}/active", set_active, methods=["PUT"], responses=LAST_ADMIN, **managed)
    return routes


async def list_users(
    session: ReadSession,
    users: Users,
    page: Offset,
    role: OfRole = None,
    active: OfActivity = None,
) -> Sequence[UserDTO]:
    """Users in the order of their ids."""
    return await users.page(session, skip=page.skip, limit=page.limit, role=role, active=active)


async def create_user(session: WriteSession, users: Users, new: schemas.NewUser) -> UserDTO:
    """Make a user; without a password it cannot sign in."""
    return await users.create(
        session, name=new.name, email=new.email, role=new.role, password=new.password
    )


async def show_me(session: ReadSession, users: Users, me: CurrentPrincipal) -> UserDTO:
    """The user that is signed in."""
    return await users.show(session, me.id, by=me)


async def show_user(
    session: ReadSession, users: Users, me: CurrentPrincipal, user_id: PathId
) -> UserDTO:
    """One user: oneself, or any with users:manage."""
    return await users.show(session, user_id, by=me)


async def change_user(
    session: WriteSession,
    users: Users,
    me: CurrentPrincipal,
    user_id: PathId,
    changes: schemas.UserChanges,
) -> UserDTO:
    """Change what is sent of oneself, or of any user with users:manage."""
    return await users.change(session, user_id, changes.model_dump(exclude_unset=True), by=me)


async def replace_user(
    session: WriteSession,
    users: Users,
    me: CurrentPrincipal,
    user_id: PathId,
    replacement: schemas.UserReplacement,
) -> UserDTO:
    """Set all that a user may set: of oneself, or of any user with users:manage."""
    return await users.change(session, user_id, replacement.model_dump(), by=me)


async def delete_user(session: WriteSession, users: Users, user_id: PathId) -> None:
    """Delete a user with its credentials; its orders stay."""
    await users.remove(session, user_id)


async def set_role(
    session: WriteSession, users: Users, user_id: PathId, change: schemas.RoleChange
) -> UserDTO:
    """Give a user a role; it holds from the user's next request on."""
    return await users.set_role(session, user_id, change.role)


async def set_active(
    session: WriteSession, users: Users, user_id: PathId, change: schemas.ActiveChange
) -> UserDTO:
    """Let a user sign in, or not: then its tokens stop at once."""
    return await users.set_active(session, user_id, change.active)
