"""``check``: everything that is wrong in silence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from core.checks.finding import Finding


def check(
    deploy: Annotated[
        bool, typer.Option("--deploy", help="Judge the settings too, as those of production.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
    list_codes: Annotated[
        bool, typer.Option("--list", help="Only show every code that there is.")
    ] = False,
) -> None:
    """Say what the framework lets pass in silence: each with its place, its reason and a remedy.

    Needs no database and changes nothing but var/preflight.json. Exits with 1 when an error was
    found; warnings are told and do not count. docs/checks.md explains every code, and how to
    silence one.
    """
    if list_codes:
        _print_codes(as_json=as_json)
        return
    findings = _find(deploy=deploy)
    if as_json:
        typer.echo(json.dumps([finding.as_document() for finding in findings], indent=2))
    else:
        _print(findings)
        _point_to_others()
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


def _find(*, deploy: bool) -> list[Finding]:
    from core import preflight
    from core.aside import aside
    from core.checks.run import run
    from core.logs import configure_logging
    from core.settings import load_settings

    # In the environment test nothing is refused and no key is kept: both are for `check` to judge.
    settings = load_settings(overrides={"app": {"environment": "test"}})
    configure_logging(settings, quiet=True)
    excluded = preflight.failures_of(settings, unset=True)
    return aside(run, settings, deploy=deploy, excluded=excluded)


def _print(findings: Sequence[Finding]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for module, group in groupby(findings, key=lambda finding: finding.module):
        console.print(Text(module, style="bold"))
        for finding in group:
            _print_one(console, finding)
        console.print()
    errors = sum(finding.severity == "error" for finding in findings)
    console.print(
        f"{_count(errors, 'error')}, {_count(len(findings) - errors, 'warning')}"
        if findings
        else "nothing found"
    )


def _print_one(console: Console, finding: Finding) -> None:
    style = "red" if finding.severity == "error" else "yellow"
    console.print(Text(f"  {finding.code} {finding.severity:<8}", style), Text(finding.place))
    console.print(Text(f"       {finding.reason}"))
    console.print(Text(f"       → {finding.remedy}", "green"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _point_to_others() -> None:
    from core.checks.linters import ruff

    if ruff() is None:
        typer.echo(
            "ruff is not installed here: files opened in async code were not looked for", err=True
        )


def _print_codes(*, as_json: bool) -> None:
    from core.checks.codes import CODES

    if as_json:
        document = [
            {"code": c.code, "severity": c.severity, "family": c.family, "title": c.title}
            for c in CODES.values()
        ]
        typer.echo(json.dumps(document, indent=2))
        return
    for family, codes in groupby(CODES.values(), key=lambda code: code.family):
        typer.echo(family)
        for code in codes:
            typer.echo(f"  {code.code}  {code.severity:<8} {code.title}")
    typer.echo("modules' own checks: the module's id in capitals and three digits, as in ORDERS001")
