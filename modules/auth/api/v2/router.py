"""Routes of auth in v2."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from core.plugin import (
    CurrentPrincipal,
    ReadSession,
    WriteSession,
    public,
    requires,
    service,
)
from modules.auth.api.v2 import schemas
from modules.auth.contracts import InvalidToken
from modules.auth.service import AuthService, Tokens
from modules.users.contracts import UserDTO, Users

Auth = Annotated[AuthService, service(AuthService)]
"""The sign-in of this generation."""

Directory = Annotated[Users, service(Users)]
"""The users of this generation."""

Responses = dict[int | str, dict[str, Any]]
TAKEN: Responses = {409: {"description": "the e-mail address is taken"}}
REFUSED: Responses = {
    401: {"description": "no active user has this address and password"},
    429: {"description": "too many failed sign-ins to this account or from this address"},
}
SPENT: Responses = {401: {"description": "the refresh token has expired, was used or revoked"}}


def router() -> APIRouter:
    """A fresh router."""
    routes = APIRouter(prefix="/auth", tags=["auth"])
    add, anyone, user = routes.add_api_route, [public], schemas.User
    given: dict[str, Any] = {"response_model": schemas.Tokens, "dependencies": anyone}
    post = ["POST"]
    add(
        "/register",
        register,
        methods=post,
        status_code=201,
        response_model=user,
        responses=TAKEN,
        dependencies=anyone,
    )
    add("/login", login, methods=post, responses=REFUSED, **given)
    add("/refresh", refresh, methods=post, responses=SPENT, **given)
    add("/logout", logout, methods=post, status_code=204, dependencies=anyone)
    add("/me", who_am_i, methods=["GET"], response_model=user, dependencies=[requires()])
    return routes


async def register(session: WriteSession, auth: Auth, new: schemas.Registration) -> UserDTO:
    """Become a user."""
    return await auth.register(session, name=new.name, email=new.email, password=new.password)


async def login(
    request: Request, response: Response, auth: Auth, form: Annotated[schemas.LoginForm, Form()]
) -> Tokens:
    """Sign in with e-mail address and password; repeated failures make you wait."""
    _never_store(response)
    address = request.client.host if request.client else None
    return await auth.login(email=form.username, password=form.password, address=address)


async def refresh(response: Response, auth: Auth, body: schemas.RefreshToken) -> Tokens:
    """New tokens for a refresh token, which is used up; used twice, the whole sign-in ends."""
    _never_store(response)
    return await auth.refresh(body.refresh_token)


async def logout(session: WriteSession, auth: Auth, body: schemas.RefreshToken) -> None:
    """End the sign-in that the refresh token came from; the same when it has ended already."""
    await auth.logout(session, body.refresh_token)


async def who_am_i(session: ReadSession, users: Directory, me: CurrentPrincipal) -> UserDTO:
    """The user that is signed in."""
    user = await users.get(session, me.id)
    if user is None:  # deleted since the token was checked
        raise InvalidToken("What this token stands for has ended; sign in again.")
    return user


def _never_store(response: Response) -> None:
    """Tokens must lie in no cache (RFC 6749, 5.1)."""
    response.headers["Cache-Control"] = "no-store"
