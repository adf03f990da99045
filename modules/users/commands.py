"""Commands of the module: ``tessera users …``."""

import sys
from typing import Annotated, Any, Protocol

import typer
from pydantic import TypeAdapter, ValidationError

from core.plugin import Context, Refused
from modules.users.contracts import Name, Password, normalise_email
from modules.users.service import MadeAdmin, UserService


class Runs(Protocol):
    """What core hands over as the typer context's `obj`."""

    def run(self, function: Any, /) -> Any:
        """Await ``function(context)`` in a started generation."""
        ...


def app() -> typer.Typer:
    """A fresh command group."""
    group = typer.Typer(help="Users and their roles.", no_args_is_help=True)
    group.command("create-admin")(create_admin)
    return group


def create_admin(
    ctx: typer.Context,
    email: Annotated[str, typer.Option(help="the address that the admin signs in with")],
    name: Annotated[str, typer.Option(help="unset: what stands before the @")] = "",
) -> None:
    """Make an admin; asks for the password, or reads it from standard input."""
    email = _checked_email(email)
    name = _checked(Name, name or email.partition("@")[0], "--name")
    password = _read_password()
    runs: Runs = ctx.obj
    done = runs.run(lambda context: _make(context, email=email, name=name, password=password))
    typer.echo(_TOLD[done].format(email=email))


_TOLD: dict[MadeAdmin, str] = {
    "created": "{email} is now an admin.",
    "promoted": "{email} was a user already and is now an active admin with the password given; "
    "whatever it had signed in has ended.",
    "unchanged": "{email} is an admin already; nothing was changed.",
}


async def _make(context: Context, *, email: str, name: str, password: str) -> MadeAdmin:
    users = context.service(UserService)
    hashed = await users.hash_if_kept(password)
    async with context.write() as session:
        return await users.make_admin(session, name=name, email=email, password_hash=hashed)


def _checked_email(text: str) -> str:
    try:
        return normalise_email(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--email") from None


def _checked(type_: Any, text: str, hint: str) -> str:
    try:
        checked: str = TypeAdapter(type_).validate_python(text)
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"], param_hint=hint) from None
    return checked


def _read_password() -> str:
    """By a hidden prompt, asked twice; the first line of standard input when it is no terminal."""
    if sys.stdin.isatty():
        return str(
            typer.prompt(
                "Password",
                hide_input=True,
                confirmation_prompt=True,
                value_proc=lambda text: _checked(Password, text, "password"),
            )
        )
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise typer.BadParameter(
            "No password: type one at a terminal, or give one on standard input.",
            param_hint="password",
        )
    try:
        return _checked(Password, password, "password")
    except typer.BadParameter as error:
        raise Refused(f"The password does not do: {error.message}.") from None
