"""The root of the command line, where core's verbs, modules' commands and plugins' verbs meet.

Core's verbs work without any module. A module's commands stand under its id; they are looked for
only when the first word is none of core's, so that `tessera --help` is quick and a broken module
cannot take the command line with it.
"""

from __future__ import annotations

import pkgutil
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from core import __version__, answering, collector, ending
from core.errors import ConfigurationError, TesseraError
from core.verbs import VERBS, installed

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""Wrong usage of any kind; typer exports only this child of it."""


class RootGroup(TyperGroup):
    """Core's verbs, then those of the group `tessera.commands`, then the enabled modules'."""

    _found: dict[str, Any] | None = None

    def list_commands(self, ctx: Any) -> list[str]:
        """Every verb's name, core's first."""
        return list(dict.fromkeys([*VERBS, *sorted(installed()), *sorted(self._of_modules())]))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, wherever it comes from; None when there is none."""
        if cmd_name in VERBS:
            return _named(pkgutil.resolve_name(VERBS[cmd_name]), cmd_name)
        entry = installed().get(cmd_name)
        if entry is not None:
            return _named(entry.load(), cmd_name)
        return self._of_modules(reporting=True).get(cmd_name)

    def _of_modules(self, *, reporting: bool = False) -> dict[str, Any]:
        """The commands of enabled modules; none, when the settings cannot be used and nobody asked.

        They are loaded once, whatever is asked of this group.
        """
        from core.cli.runner import every_command

        if self._found is None:
            try:
                self._found = every_command()
            except ConfigurationError:
                if reporting:
                    raise
                return {}
        return self._found


def _named(verb: Any, name: str) -> Any:
    """A click command of a typer application, or of a plain function."""
    if not isinstance(verb, typer.Typer):
        application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        application.command()(verb)
        verb = application
    verb._add_completion = False  # it would complete a program of that name, not a verb
    command = typer.main.get_command(verb)
    command.name = name
    return command


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"Tessera {__version__}")
        raise typer.Exit


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        cls=RootGroup,
        name="tessera",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Tessera: a modular monolith for FastAPI. settings.toml says which modules live.",
    )

    @app.callback()
    def root(
        version: bool = typer.Option(
            False, "--version", callback=_version, is_eager=True, help="Show the version and end."
        ),
    ) -> None:
        pass

    return app


def main() -> NoReturn:
    """Run the command line and end the process with its exit code, whatever modules left in it."""
    collector.be_patient()
    if sys.argv[1:2] != ["serve"]:
        answering.begin()
    try:
        run()
    except SystemExit as end:
        ending.see_to(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise


def run() -> NoReturn:
    """Run the command line; raises SystemExit with its exit code."""
    try:
        code = build()(standalone_mode=False)
    except ConfigurationError as error:
        _end(f"configuration: {error.for_operators}", 2)
    except TesseraError as error:
        _end(error.for_operators, 1)
    except UsageError as error:
        _end_wrong_usage(error)
    except (KeyboardInterrupt, typer.Abort):
        _end("interrupted", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _end_wrong_usage(error: Any) -> NoReturn:
    """One line and the way to the help; the help itself where nothing at all was asked."""
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.message, err=True)  # empty where rich has printed the help already
        sys.exit(2)
    what = error.format_message().rstrip(".")
    _end(f"{what}. See: {error.ctx.command_path} --help", 2)


def _end(line: str, code: int) -> NoReturn:
    typer.echo(f"tessera: {line}", err=True)
    sys.exit(code)
