"""``tessera demo …``: commands for a running server; they need no settings and no modules here."""

from __future__ import annotations

import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from demo.client import Client, DemoError
from demo.load import Loaded, load_customers, load_orders, load_products, sales
from demo.northwind import Northwind, Sales, read, sales_by_year, sold

app = typer.Typer(help="Real data to try Tessera with.", no_args_is_help=True)


@app.callback()
def demo() -> None:
    """Real data to try Tessera with."""


@app.command()
def northwind(
    email: Annotated[str, typer.Option(help="An admin of that server.")],
    url: Annotated[str, typer.Option(help="A running server.")] = "http://127.0.0.1:8000",
) -> None:
    """Load a trading company (91 customers, 77 products, 830 orders) through the HTTP API.

    The admin's password is asked for, or read from standard input. Done again, it doubles nothing.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise typer.BadParameter(f"{url} is no http:// or https:// address", param_hint="--url")
    try:
        with Client(url, email=email, password=_password()) as client:
            _load(client, read())
    except DemoError as problem:
        print(f"tessera: {problem}", file=sys.stderr)
        raise typer.Exit(1) from None


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True))
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        print("tessera: no password on standard input", file=sys.stderr)
        raise typer.Exit(2)
    return password


def _load(client: Client, data: Northwind) -> None:
    console = Console()
    with Progress(
        TextColumn("{task.description:>9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as bars:
        sizes = {"customers": data.customers, "products": data.products, "orders": data.orders}
        tasks = {name: bars.add_task(name, total=len(items)) for name, items in sizes.items()}

        def progress(step: str, count: int) -> None:
            bars.advance(tasks[step], count)

        customers = load_customers(client, data.customers, progress)
        products, ids = load_products(client, data.products, progress)
        orders = load_orders(client, data, ids, progress)
    _say(console, {"customers": customers, "products": products, "orders": orders})
    _compare(console, data, sales_by_year(sales(client)))


def _say(console: Console, steps: dict[str, Loaded]) -> None:
    if not any(done.created for done in steps.values()):
        console.print("Everything was there already; nothing was changed.")
    for name, done in steps.items():
        console.print(f"{name}: {done.created} created, {done.known} already there")


def _compare(console: Console, data: Northwind, years: dict[str, Sales]) -> None:
    """Show what the server holds; raises DemoError when that is not what was sent."""
    table = Table(title="Northwind, as the API tells it")
    for heading in ("year", "orders", "units", "revenue USD"):
        table.add_column(heading, justify="right")
    for year, it in years.items():
        table.add_row(year, f"{it.orders:,}", f"{it.units:,}", f"{it.revenue:,.2f}")
    whole = sum(years.values(), Sales())
    table.add_section()
    table.add_row("all", f"{whole.orders:,}", f"{whole.units:,}", f"{whole.revenue:,.2f}")
    console.print(table)
    if years != sales_by_year((order.day, sold(order)) for order in data.orders):
        raise DemoError("the server's orders do not add up to those of the data set")
