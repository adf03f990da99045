"""``events``: what waits, what failed, and what to do about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy.exc import DBAPIError

from core.cli.golden import golden
from core.db.engine import Database
from core.errors import Refused, Unavailable
from core.events import backlog, operations, pruning, recording
from core.events.backlog import Backlog, Stall, stalls
from core.events.lookout import lag_of
from core.logs import configure_logging
from core.settings import Settings, load_settings
from core.settings_models import MOST_DAYS

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Events: what waits, what failed, and mending it.")

app.command("golden")(golden)

Group = Annotated[str, typer.Argument(metavar="GROUP", help="A subscribing module, or relay.")]
Numbers = Annotated[
    list[int] | None, typer.Argument(metavar="[NUMBER]...", help="As `events failed` lists them.")
]
All = Annotated[bool, typer.Option("--all", help="Every dead letter of the group.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


@app.command("status")
def status(as_json: Json = False) -> None:
    """What waits for the relay and for each group, since when, and what stalls; exits with 0."""
    settings = load_settings()
    backlogs = _run(lambda database: _looked(database, settings))
    stalled = stalls(
        backlogs,
        states={name: "enabled" for name, it in settings.modules.items() if it.enabled},
        after=settings.events.stall_seconds,
        broker=bool(settings.kafka.bootstrap_servers),
        at_once=True,
    )
    if as_json:
        relay, *groups = [_document(it) for it in backlogs]
        told = [{**asdict(it), "seconds": round(it.seconds, 3)} for it in stalled]
        recorded = settings.events.recording
        document = {"recording": recorded, "relay": relay, "groups": groups, "stalled": told}
        typer.echo(json.dumps(document, indent=2))
        return
    if not settings.events.recording:
        typer.echo(recording.OFF)
    for it in backlogs:
        typer.echo(_line(it))
    for stall in stalled:
        typer.echo(f"{stall.name} stalls, {_since(stall)}: {stall.remedy}")


async def _looked(database: Database, settings: Settings) -> tuple[Backlog, ...]:
    """The relay's backlog and each group's, with the lag where there is a broker that answers."""
    relay, groups = await backlog.status(database)
    if not settings.kafka.bootstrap_servers:
        return relay, *groups
    try:
        lag = await lag_of(database, settings.kafka)
    except Unavailable as error:
        typer.echo(f"tessera: the lag is not known: {error.detail}", err=True)
        lag = {}
    behind = {name: it.behind for name, it in lag.items()}
    return relay, *(replace(it, lag=behind.get(it.name)) for it in groups)


@app.command("failed")
def failed(
    group: Annotated[
        str | None, typer.Option("--group", metavar="GROUP", help="Only of this group.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The dead letters and why; exits with 1 when there are any."""
    found = _run(lambda database: operations.failed(database, group))
    if as_json:
        typer.echo(json.dumps([asdict(it) for it in found], indent=2, default=_text))
    else:
        for it in found:
            behind = f", {it.behind} wait behind it" if it.behind else ""
            typer.echo(
                f"{it.group} {it.number}: {it.type} of {it.aggregate}, "
                f"{it.attempts} tries{behind}\n    {it.reason}"
            )
    if found:
        raise typer.Exit(1)
    if not as_json:
        typer.echo("nothing has failed")


@app.command("retry")
def retry(group: Group, numbers: Numbers = None, every: All = False) -> None:
    """Try dead letters again, with what waits behind them; within a second a server does it."""
    chosen = _chosen(numbers, every)
    count = _run(lambda database: operations.retry(database, group, chosen))
    _tell(group, count, chosen, "to be tried again")


@app.command("discard")
def discard(group: Group, numbers: Numbers = None, every: All = False) -> None:
    """Give dead letters up for ever; what waits behind them goes on without them."""
    chosen = _chosen(numbers, every)
    count = _run(lambda database: operations.discard(database, group, chosen))
    _tell(group, count, chosen, "discarded")


@app.command("replay")
def replay(
    group: Annotated[str, typer.Option("--group", metavar="GROUP", help="Whose events.")],
    since: Annotated[
        datetime | None, typer.Option("--since", help="Only what was recorded since (UTC).")
    ] = None,
) -> None:
    """Let a module have its events again; from the start its projection is emptied first."""
    from core.events.groups import plan_of
    from core.registry import load_carefully

    settings = load_settings()
    plans = {plan.name: plan for plan in plan_of(load_carefully(settings)).groups}
    if group not in plans:
        raise Refused(f"no enabled module {group!r} subscribes to events")
    moment = _utc(since) if since else None
    count = _run(lambda database: operations.replay(database, plans[group], since=moment))
    typer.echo(f"{group}: {count} events are delivered again")


@app.command("prune")
def prune(
    days: Annotated[
        int | None,
        typer.Option(
            "--days", min=0, max=MOST_DAYS, help="Keep so many; default events.keep_days."
        ),
    ] = None,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway",
            help="Also what a group on Kafka was not given yet; without Kafka, what it noted.",
        ),
    ] = False,
) -> None:
    """Delete old events that every group has had; what is deleted cannot be replayed."""
    settings = load_settings()
    kept = settings.events.keep_days if days is None else days
    before = datetime.now(UTC) - timedelta(days=kept)
    if not anyway:
        _run(lambda it: pruning.refuse_what_is_not_given(it, settings.kafka, before=before))
    count = _run(lambda database: operations.prune(database, before=before))
    typer.echo(f"{count} events from before {before:%Y-%m-%d %H:%M} UTC are gone")
    received = _run(lambda it: pruning.prune_inbox(it, settings.kafka, anyway=anyway))
    typer.echo(f"{received} notes of what groups have received are gone")
    if kept := _run(lambda it: pruning.kept_for_a_broker(it, settings.kafka)):
        typer.echo(f"{kept} are kept, should Kafka be put back; if never, delete them --anyway")


def _utc(moment: datetime) -> datetime:
    """In UTC, as it is meant where no offset was given. Raises BadParameter."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise typer.BadParameter(
            f"{moment.isoformat()} is outside of the calendar in UTC.", param_hint="--since"
        ) from None


def _chosen(numbers: list[int] | None, every: bool) -> list[int] | None:
    """Which letters; None for all. Raises BadParameter when it is neither or both."""
    if bool(numbers) == every:
        raise typer.BadParameter("name the numbers of dead letters, or say --all")
    return None if every else numbers


def _tell(group: str, count: int, chosen: list[int] | None, done: str) -> None:
    typer.echo(f"{group}: {count} dead letters {done}")
    if chosen is not None and count < len(set(chosen)):
        raise Refused(f"{len(set(chosen)) - count} of the numbers are no dead letters of {group}")


def _document(backlog: Backlog) -> dict[str, Any]:
    return {
        "name": backlog.name,
        "waiting": backlog.waiting,
        "oldest_seconds": round(backlog.age(), 3),
        "overdue_seconds": round(backlog.overdue(), 3),
        "dead": backlog.dead,
        "lag": backlog.lag,
        "workers": backlog.workers,
    }


def _line(backlog: Backlog) -> str:
    """One line of the table, without what there is nothing to say of."""
    age = timedelta(seconds=round(backlog.age()))
    told = [f"{backlog.name:<20} {backlog.waiting:>8} waiting"]
    told += [f"the oldest for {age}"] if backlog.oldest else []
    told += [f"{backlog.lag} behind on Kafka"] if backlog.lag is not None else []
    told += [f"{backlog.dead} dead"] if backlog.dead else []
    return ", ".join(told)


def _since(stall: Stall) -> str:
    """For how long; of what lies on a topic one look cannot tell."""
    if not stall.seconds:
        return "what lies on Kafka for it is not taken"
    return f"work has been due for {timedelta(seconds=round(stall.seconds))}"


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _run(action: Callable[[Database], Awaitable[T]]) -> T:
    settings: Settings = load_settings()
    configure_logging(settings, quiet=True)

    async def run() -> T:
        database = Database(settings.database)
        try:
            return await action(database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except Unavailable as error:
        raise Refused(error.for_operators) from error
    except DBAPIError as error:
        if waiting := asyncio.run(_waiting(settings)):
            raise Refused(f"migrations wait: {waiting}; run `tessera db upgrade` first") from error
        raise


async def _waiting(settings: Settings) -> str:
    """Whose migrations wait, which tells why a table is not there."""
    from core.db import migrations
    from core.registry import load_carefully

    database = Database(settings.database)
    try:
        found = await migrations.status(database, load_carefully(settings).migrations())
    finally:
        await database.close()
    return ", ".join(f"{it.module} ({len(it.pending)})" for it in found if it.pending)
