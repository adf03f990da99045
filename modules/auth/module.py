"""The auth module: passwords, tokens, and who is calling."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from core.plugin import Authenticator, CheckContext, Context, Finding, Manifest, hookimpl
from modules.auth.authenticator import BearerAuthenticator
from modules.auth.credentials import Credentials
from modules.auth.passwords import Passwords
from modules.auth.service import AuthService
from modules.auth.settings import AuthSettings
from modules.auth.throttle import Throttle
from modules.auth.tokens import AccessTokens
from modules.users.contracts import CredentialStore, Users

if TYPE_CHECKING:
    from fastapi import APIRouter
    from pydantic import BaseModel
    from sqlmodel import SQLModel


@hookimpl
def manifest() -> Manifest:
    return Manifest(
        id="auth", version="1.0.0", requires=("users",), summary="passwords, tokens, sign-in"
    )


@hookimpl
def settings() -> type[BaseModel]:
    return AuthSettings


@hookimpl
def routers(version: str) -> Sequence[APIRouter]:
    from modules.auth.api.v1.router import router as v1
    from modules.auth.api.v2.router import router as v2

    return [{"v1": v1, "v2": v2}[version]()]


@hookimpl
def tables() -> Sequence[type[SQLModel]]:
    from modules.auth.models import Attempt, Credential, RefreshSession

    return [Credential, RefreshSession, Attempt]


@hookimpl
def migrations() -> str:
    return "modules.auth:migrations"


@hookimpl
def services() -> Mapping[type[Any], Callable[[Context], Any]]:
    return {
        Passwords: lambda context: Passwords(context.settings_as(AuthSettings)),
        CredentialStore: lambda context: Credentials(context.service(Passwords)),
        AccessTokens: make_tokens,
        AuthService: make_service,
    }


def make_tokens(context: Context) -> AccessTokens:
    settings = context.settings_as(AuthSettings)
    return AccessTokens(
        secret=context.app.app.secret_key.get_secret_value(),
        issuer=settings.issuer,
        audience=settings.audience,
        lifetime=timedelta(minutes=settings.access_minutes),
        leeway=timedelta(seconds=settings.leeway_seconds),
    )


def make_service(context: Context) -> AuthService:
    settings = context.settings_as(AuthSettings)
    return AuthService(
        context,
        users=context.service(Users),  # type: ignore[type-abstract] # a contract is asked by type
        passwords=context.service(Passwords),
        tokens=context.service(AccessTokens),
        throttle=Throttle(context, settings),
        refresh_lifetime=timedelta(days=settings.refresh_days),
    )


@hookimpl
def lifespan(context: Context) -> AbstractAsyncContextManager[None]:
    return _threads(context)


@asynccontextmanager
async def _threads(context: Context) -> AsyncIterator[None]:
    """The threads that hash live as long as the generation."""
    passwords = context.service(Passwords)
    try:
        yield
    finally:
        passwords.close()


@hookimpl
def checks() -> Sequence[Callable[[CheckContext], Iterable[Finding]]]:
    from modules.auth.checks import long_lived_tokens

    return [long_lived_tokens]


@hookimpl
def authenticators(context: Context) -> Sequence[Authenticator]:
    return [
        BearerAuthenticator(
            context,
            tokens=context.service(AccessTokens),
            users=context.service(Users),  # type: ignore[type-abstract] # a contract, as above
        )
    ]
