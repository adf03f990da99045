"""The users module: who there is, which role each has, and that an admin always remains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.plugin import Context, Event, Manifest, Permission, hookimpl
from modules.users.contracts import CredentialStore, Users
from modules.users.events import UserDeleted, UserRegistered, UserUpdated
from modules.users.service import MANAGE, UserService

if TYPE_CHECKING:
    import typer
    from fastapi import APIRouter
    from sqlmodel import SQLModel


@hookimpl
def manifest() -> Manifest:
    return Manifest(id="users", version="1.0.0", summary="users, their roles and their activity")


@hookimpl
def routers(version: str) -> Sequence[APIRouter]:
    from modules.users.api.v1.router import router as v1
    from modules.users.api.v2.router import router as v2

    return [{"v1": v1, "v2": v2}[version]()]


@hookimpl
def tables() -> Sequence[type[SQLModel]]:
    from modules.users.models import User

    return [User]


@hookimpl
def migrations() -> str:
    return "modules.users:migrations"


@hookimpl
def permissions() -> Sequence[Permission]:
    return [Permission(MANAGE, summary="see and change every user, their roles and activity")]


@hookimpl
def events() -> Sequence[type[Event]]:
    return [UserRegistered, UserUpdated, UserDeleted]


@hookimpl
def services() -> Mapping[type[Any], Callable[[Context], Any]]:
    return {
        UserService: make_service,
        Users: lambda context: context.service(UserService),
    }


def make_service(context: Context) -> UserService:
    return UserService(credentials=context.find(CredentialStore))  # type: ignore[type-abstract]


@hookimpl
def commands() -> typer.Typer:
    from modules.users.commands import app

    return app()
