"""The outermost layer of every request, in one pure ASGI callable.

It gives the request its id and its time, sets the headers that every answer carries, finds the
version, turns what nobody caught into a problem, and writes the access line. One layer and not
five, because each costs: an `@app.middleware("http")` alone halves the throughput of an empty
endpoint (measured: 12,700 to 5,350 requests/s).
"""

from __future__ import annotations

import re
from time import perf_counter
from typing import TYPE_CHECKING

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import InternalError, NotFound, Problem
from core.http.body import BODY_HEADERS, BodyLimit
from core.http.cors import Cors
from core.http.problems import problem_response
from core.http.version import first_segment
from core.request import SCOPE_REQUEST, RequestInfo, current_request, request_id_from
from core.steps import is_cancelled
from core.tracing import sane

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.generation import Generation
    from core.http.metrics import Metrics

access_log = structlog.get_logger("tessera.access")
log = structlog.get_logger("tessera.http")

Headers = list[tuple[bytes, bytes]]

SECURITY_HEADERS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
API_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class Edge:
    """ASGI for HTTP and WebSocket. `current` gives the generation that new requests belong to."""

    def __init__(
        self,
        *,
        current: Callable[[], Generation],
        root: ASGIApp,
        access: bool,
        hsts: bool,
        max_body_bytes: int,
        metrics: Metrics | None = None,
        cors: Cors | None = None,
        api: bool = True,
    ) -> None:
        """Without `api` only the root answers: a worker has an address to be watched at."""
        self._current = current
        self._api = api
        self._root = root
        self._access = access
        self._metrics = metrics
        self._cors = cors
        self._limit = BodyLimit(max_body_bytes)
        self._headers = [*SECURITY_HEADERS, HSTS] if hsts else SECURITY_HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or socket; the generation that began it also ends it."""
        started = perf_counter()
        request_header = version_header = body_header = trace_header = None
        origin = False
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                request_header = value
            elif name == b"accept-version":
                version_header = value
            elif name == b"traceparent":
                trace_header = value
            elif name in BODY_HEADERS:
                body_header = name, value
            elif name == b"origin":
                origin = True
        info = RequestInfo(
            request_id=request_id_from(request_header),
            method=scope.get("method", "WEBSOCKET"),
            path=scope["path"],
            traceparent=sane(trace_header),
        )
        token = current_request.set(info)
        generation = self._current()
        generation.in_flight += 1
        extra: Headers = []
        begun = ended = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun, ended
            kind = message["type"]
            if kind == "http.response.start" or kind == "websocket.http.response.start":
                begun = True
                info.status = message["status"]
                self._add_headers(message, info.id, started, extra)
            elif kind == "http.response.body" or kind == "websocket.http.response.body":
                ended = not message.get("more_body", False)
            await send(message)

        child = scope
        try:
            target, child = self._route(generation, scope, info, version_header, extra)
            if body_header is not None:
                target = self._limit.guard(target, *body_header)
            if origin and self._cors is not None and scope["type"] == "http":
                target = self._cors.guard(target)
            await target(child, receive, send_with_headers)
        except BaseException as error:  # a route may raise anything, CancelledError included
            if _is_ended(error, info):
                raise
            _note_route(info, child)
            # Starlette's error layer raises again after it has answered, for the server's log.
            log.exception("request failed", path=info.path, method=info.method)
            if scope["type"] != "http" or (begun and not ended):
                raise  # half an answer is out: the server must break the connection
            if not begun:
                await self._failure({**scope, SCOPE_REQUEST: info}, receive, send_with_headers)
        finally:
            generation.leave()
            _note_route(info, child)
            if self._metrics is not None:
                self._metrics.observe(info, perf_counter() - started)
            if self._access:
                _write_access_line(info, started)
            current_request.reset(token)

    def _route(
        self,
        generation: Generation,
        scope: Scope,
        info: RequestInfo,
        wanted: bytes | None,
        extra: Headers,
    ) -> tuple[ASGIApp, Scope]:
        """The application that answers, and the scope that it sees."""
        root_path: str = scope.get("root_path", "")
        path: str = scope["path"]
        below = path[len(root_path) :] if root_path and path.startswith(root_path) else path
        child = {**scope, **generation.scope_extras, SCOPE_REQUEST: info}
        name = first_segment(below)
        version = generation.versions.get(name) if self._api else None
        if version is None:
            if name in ROOT_SEGMENTS and scope["type"] == "http":
                return self._root, child
            if not self._api:
                return _answering(NotFound(NO_API)), child
            extra.append((b"vary", b"Accept-Version"))
            if wanted is not None:
                name = f"v{wanted.decode('latin-1').strip().removeprefix('v')}"
                version = generation.versions.get(name)
            if version is None:
                return _no_version(wanted, below, generation), child
            child["path"] = f"{root_path}/{name}{below}"
            child["raw_path"] = child["path"].encode("utf-8", "surrogateescape")
        info.version = name
        extra.extend(version.lifetime_headers)
        child["root_path"] = child["app_root_path"] = f"{root_path}/{name}"
        if child["path"] == child["root_path"]:
            child["path"] += "/"  # the version's own front page
        return version, child

    async def _failure(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The 500 for what Starlette let through; a script of another origin may read it too."""
        answer = _answering(InternalError())
        if self._cors is not None:
            answer = self._cors.guard(answer)
        await answer(scope, receive, send)

    def _add_headers(
        self, message: Message, request_id: str, started: float, extra: Headers
    ) -> None:
        given: Headers = message.get("headers") or []
        headers: Headers = [*given, *self._headers]
        message["headers"] = headers
        for name, _ in given:  # a page of ours says what it may load
            if name == b"content-security-policy":
                break
        else:
            headers.append(API_POLICY)
        for name, value in extra:
            if name == b"vary":
                MutableHeaders(raw=headers).add_vary_header(value.decode())
            else:
                headers.append((name, value))
        headers.append((b"x-request-id", request_id.encode()))
        headers.append((b"x-process-time", b"%.6f" % (perf_counter() - started)))


ROOT_SEGMENTS = frozenset({"", "health", "livez", "readyz", "problems", "metrics", "asyncapi.json"})
NO_API = (
    "This process is a worker: it delivers events and answers no API. "
    "Ask one whose role (server.role, serve --role) is all or api."
)


def _no_version(wanted: bytes | None, path: str, generation: Generation) -> ASGIApp:
    known = [v.removeprefix("v") for v in generation.versions]
    asked = first_segment(path) if wanted is None else wanted.decode("latin-1")
    if wanted is not None or re.fullmatch(r"v[0-9]+", asked):
        problem = NotFound(f"There is no version {asked!r}; there are {', '.join(known)}.")
    else:
        problem = NotFound(
            f"There is nothing at {path}. Addresses of the API begin with a version "
            f"(/v{known[-1]}{path}), or the header Accept-Version names one."
        )

    return _answering(problem)


def _answering(problem: Problem) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await problem_response(problem, scope)(scope, receive, send)

    return answer


def _is_ended(error: BaseException, info: RequestInfo) -> bool:
    """Whether somebody ends this request, rather than its route raising what it likes."""
    if isinstance(error, GeneratorExit):  # a coroutine that is thrown away closes elsewhere
        return current_request.get() is not info
    return is_cancelled(error)


def _note_route(info: RequestInfo, scope: Scope) -> None:
    """The route of what Starlette's own routing answered.

    It names one also for a method that the route does not have. A caller makes up as many methods
    as he likes, and each would be a series of its own.
    """
    if info.route is not None:
        return
    route = scope.get("route")
    methods = getattr(route, "methods", None)  # what is mounted has none
    if info.status != 405 and (methods is None or info.method in methods):
        info.route = getattr(route, "path", None)


def _write_access_line(info: RequestInfo, started: float) -> None:
    access_log.info(
        "request",
        method=info.method,
        path=info.path,
        status=info.status,
        ms=round((perf_counter() - started) * 1000, 2),
    )
