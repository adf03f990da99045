"""Figures of requests: how many a second, how long the slowest, how much CPU time each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode

from bench import contenders
from bench.database import keep_off_the_servers_core, postgresql, seed_products
from bench.figure import Figure, Options, Verdict, faster, no_slower_tail, running, scratch
from bench.load import Case, Load, Series, in_turn
from bench.machine import RigError
from bench.server import Server

WITHOUT_CACHE = [name for name in contenders.SHIPPED if name != "cache"]
RIG_CLAIM = "the rig: plain FastAPI / bare ASGI (0.2 to 0.3)"


def measured(cases: Sequence[Case], options: Options) -> list[Series]:
    """The cases in turn, as long and as often as was asked for."""
    return in_turn(cases, rounds=options.rounds, seconds=options.seconds)


def empty_endpoint(options: Options) -> Figure:
    """An empty endpoint through everything that is on by default."""
    figure = Figure("An empty endpoint")
    with scratch() as folder:
        uncounted = contenders.tessera_with_hello(folder / "uncounted")
        off = {**uncounted.environ, "TESSERA_SERVER__METRICS": "false"}
        wanted = (
            contenders.bare(),
            contenders.plain(),
            contenders.tessera_with_hello(folder / "usual"),
            replace(uncounted, name="Tessera, /metrics off", environ=off),
            contenders.litestar(),
            contenders.tutorial(),
        )
        with running(*wanted) as servers:
            cases = [Case(server.contender.name, server, Load(["/v1/hello"])) for server in servers]
            figure.series = measured(cases, options)
    bare, plain, ours, uncounted_ours, litestar, tutorial = figure.series
    figure.verdicts = [
        faster(ours, plain, claim="empty endpoint: Tessera / plain FastAPI", bound=0.85),
        faster(plain, bare, claim=RIG_CLAIM),
        faster(ours, uncounted_ours, claim="empty endpoint: /metrics on / off"),
        faster(ours, litestar, claim="empty endpoint: Tessera / Litestar"),
        faster(ours, tutorial, claim="empty endpoint: Tessera / tutorial style"),
    ]
    return figure


def rig_is_right(figure: Figure) -> bool:
    """Whether plain FastAPI stands to a bare ASGI function as it is known to stand."""
    return all(0.2 <= v.ratio <= 0.3 for v in figure.verdicts if v.claim == RIG_CLAIM)


PLACES = {
    "first module, first route": "/v1/m000/7/r0",
    "last module, first route": "/v1/m099/7/r0",
    "first module, tenth route": "/v1/m000/7/r9",
    "a middle module, tenth route": "/v1/m050/7/r9",
    "last module, tenth route": "/v1/m099/7/r9",
}


def hundred_modules(options: Options) -> Figure:
    """A route among a thousand: 100 planted modules of ten routes each."""
    figure = Figure("100 modules of 10 routes")
    with scratch() as folder:
        with running(contenders.tessera_with_many(folder, 100, routes=10)) as (server,):
            cases = [Case(name, server, Load([path])) for name, path in PLACES.items()]
            figure.series = measured(cases, options)
    first, last, *tenths = figure.series
    worst = min(tenths, key=lambda series: series.median("rate"))
    figure.verdicts = [
        faster(last, first, claim="100 modules: first route of the last / of the first", bound=0.9),
        faster(worst, first, claim="1,000 routes: the slowest / the first", bound=0.85),
    ]
    return figure


def product_by_id(options: Options) -> Figure:
    """One row by its key on PostgreSQL, the cache off."""
    figure = Figure("GET /v1/products/{id} on PostgreSQL, cache off")
    with scratch() as folder, postgresql() as url:
        tessera = contenders.tessera(folder, WITHOUT_CACHE, url=url)
        others = contenders.by_hand("products:app", url=url), contenders.tutorial(url)
        with running(tessera, *others) as servers:
            ids = range(1, seed_products(url) + 1)
            for connections in (16, 64):
                cases = _product_cases(servers, ids, connections)
                warm(cases, url)
                series = measured(cases, options)
                figure.series += series
                figure.verdicts += _product_verdicts(series, connections)
    return figure


def _product_cases(servers: Sequence[Server], ids: range, connections: int) -> list[Case]:
    ours, theirs, tutorial = servers
    ways = [
        ("AsyncSession.get by hand", theirs, "/entity"),
        ("a select of the columns by hand", theirs, "/columns"),
        ("the same, tuned by hand", theirs, "/tuned"),
        ("tutorial style", tutorial, "/v1"),
        ("Tessera", ours, "/v1"),
    ]
    return [
        Case(
            f"{name}, {connections} connections",
            server,
            Load([f"{prefix}/products/{i}" for i in ids], connections),
        )
        for name, server, prefix in ways
    ]


def warm(cases: Sequence[Case], url: str) -> None:
    """Let every contender open its connections, then bind PostgreSQL's ends of them."""
    in_turn(cases, rounds=1, seconds=1)
    keep_off_the_servers_core(url)


def _product_verdicts(series: Sequence[Series], connections: int) -> list[Verdict]:
    entity, columns, tuned, tutorial, ours = series
    what = f"a product, {connections} connections: "
    return [
        faster(ours, entity, claim=f"{what}Tessera / AsyncSession.get", bound=1.8),
        no_slower_tail(ours, entity, claim=f"{what}p99 of Tessera / of AsyncSession.get"),
        faster(ours, columns, claim=f"{what}Tessera / select by hand", bound=0.9),
        faster(ours, tuned, claim=f"{what}Tessera / tuned by hand"),
        faster(ours, tutorial, claim=f"{what}Tessera / tutorial style"),
    ]


def order_of_one_line(options: Options) -> Figure:
    """An order: token, user, price, stock, order, line, one transaction; ours with its events."""
    figure = Figure("POST /v1/orders of one line, spread over 77 products, on PostgreSQL")
    with scratch() as folder, postgresql() as url:
        tessera = contenders.tessera(folder, WITHOUT_CACHE, url=url)
        # What is written by hand tells nobody; the events of ours are delivered elsewhere.
        tessera = replace(tessera, environ={"TESSERA_SERVER__ROLE": "api"})
        with running(tessera, contenders.by_hand("orders:app", url=url)) as (ours, theirs):
            ids = range(1, seed_products(url) + 1)
            cases = _order_cases(ours, theirs, ids)
            warm(cases, url)
            figure.series = measured(cases, options)
    entities, statements, ours_line = figure.series
    figure.verdicts = [
        faster(ours_line, statements, claim="an order: Tessera / statements by hand", bound=0.8),
        faster(ours_line, entities, claim="an order: Tessera / entities by hand"),
    ]
    return figure


def _order_cases(ours: Server, theirs: Server, ids: range) -> list[Case]:
    user_id, token = sign_in(ours)
    answer = theirs.get(f"/token/{user_id}")[1]
    bodies = [json.dumps({"lines": [{"product_id": i, "quantity": 1}]}) for i in ids]
    ways = [
        ("entities by hand", theirs, "/entities", json.loads(answer)),
        ("statements by hand", theirs, "/statements", json.loads(answer)),
        ("Tessera", ours, "/v1", token),
    ]
    return [
        Case(name, server, Load([f"{prefix}/orders"], 16, "POST", bodies, headers(bearer)))
        for name, server, prefix, bearer in ways
    ]


def headers(token: str) -> dict[str, str]:
    """Of a request with a JSON body by whoever has this token."""
    return {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}


def sign_in(server: Server) -> tuple[int, str]:
    """A new user of Tessera: id and access token. Raises RigError."""
    new = {"name": "Buyer", "email": "buyer@bench.example", "password": "correct horse battery"}
    json_type = {"Content-Type": "application/json"}
    status, body = server.request("POST", "/v1/auth/register", json.dumps(new), json_type)
    if status != 201:
        raise RigError(f"no user could be registered: {status} {body!r}")
    form = urlencode({"username": new["email"], "password": new["password"]})
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    status, tokens = server.request("POST", "/v1/auth/login", form, form_type)
    if status != 200:
        raise RigError(f"the user could not sign in: {status} {tokens!r}")
    return json.loads(body)["id"], json.loads(tokens)["access_token"]
