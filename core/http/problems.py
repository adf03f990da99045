"""Problem details (RFC 9457): one shape for every error, on every path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi.exceptions import RequestValidationError
from pydantic_core import PydanticSerializationError
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from core import errors
from core.errors import Problem, Unprocessable, text_of
from core.request import SCOPE_REQUEST

log = structlog.get_logger("tessera.http")

MEDIA_TYPE = "application/problem+json"
_FORM = "application/x-www-form-urlencoded"


def all_problems(root: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Every problem type that is known to this process, core's and the modules'."""
    for problem in root.__subclasses__():
        yield problem
        yield from all_problems(problem)


_BY_STATUS: Mapping[int, type[Problem]] = {
    problem.status: problem
    for problem in vars(errors).values()
    if isinstance(problem, type) and issubclass(problem, Problem) and problem is not Problem
}


def problem_response(problem: Problem, scope: Scope) -> Response:
    """The document that tells of `problem`, for the request of `scope`."""
    return _response(
        status=problem.status,
        slug=problem.slug,
        title=problem.title,
        detail=problem.detail,
        extensions=problem.extensions,
        headers=problem.headers,
        scope=scope,
    )


def _response(
    *,
    status: int,
    slug: str,
    title: str,
    detail: str,
    scope: Scope,
    headers: Mapping[str, str],
    extensions: Mapping[str, Any] = {},
) -> Response:
    info = scope.get(SCOPE_REQUEST)
    document = {
        "type": f"/problems/{slug}",
        "title": title,
        "status": int(status),
        "detail": detail,
        "instance": scope.get("path", ""),
        "request_id": info.id if info else None,
        **extensions,
    }
    # ASCII on purpose: a lone surrogate of the caller's, repeated here, must not break the answer.
    body = json.dumps(document, ensure_ascii=True, default=str).encode("ascii")
    return Response(body, status_code=int(status), headers=dict(headers), media_type=MEDIA_TYPE)


async def on_problem(request: Request, problem: Exception) -> Response:
    """Handler for everything that core and modules raise on purpose."""
    assert isinstance(problem, Problem)
    away = isinstance(problem, errors.Unavailable)
    if away and problem.for_operators != problem.detail:  # which server, and what it said
        log.warning("cannot answer", reason=text_of(problem, for_operators=True))
    return problem_response(problem, request.scope)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Handler for Starlette's and FastAPI's own errors: 404, 405, 413, and what authors raise."""
    assert isinstance(error, HTTPException)
    known = _BY_STATUS.get(error.status_code)
    phrase = _phrase(error.status_code)
    detail = error.detail if error.detail != phrase else ""
    if error.status_code == HTTPStatus.NOT_FOUND and not detail:
        detail = f"There is nothing at {request.scope['path']}."
    return _response(
        status=error.status_code,
        slug=known.slug if known else f"http-{error.status_code}",
        title=known.title if known else phrase,
        detail=detail or (known.title if known else phrase),
        headers=error.headers or {},
        scope=request.scope,
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP status {status}"


async def on_validation_error(request: Request, error: Exception) -> Response:
    """Handler for a request whose parameters or body do not fit: 422 with every place."""
    assert isinstance(error, RequestValidationError)
    found = [{"loc": list(e["loc"]), "msg": e["msg"], "type": e["type"]} for e in error.errors()]
    places = ", ".join(dict.fromkeys(".".join(str(part) for part in e["loc"]) for e in found))
    detail = f"Not valid: {places[:500]}"
    if found and found[0]["type"] == "json_invalid":
        detail = f"The body is not JSON: broken at character {found[0]['loc'][-1]}."
    if unread := _unread(request, error.body):
        detail = unread
        found.insert(0, {"loc": ["header", "Content-Type"], "msg": unread, "type": "content_type"})
    return problem_response(Unprocessable(detail, errors=found), request.scope)


def _unread(request: Request, body: Any) -> str:
    """Why a body was not even read: the header does not say that it is what the route takes.

    FastAPI leaves such a body as bytes, or takes no field from it where it wants a form.
    """
    headers = request.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return ""
    sent = headers.get("content-type", "")
    if isinstance(body, FormData):
        wanted, read = _FORM, sent.startswith((_FORM, "multipart/form-data"))
    else:
        wanted, read = "application/json", not isinstance(body, bytes)
    if read:
        return ""
    told = (
        f"The Content-Type {sent[:100]!r} is not read here" if sent else "Content-Type is missing"
    )
    return f"{told}: send the header Content-Type: {wanted}."


async def on_unencodable(request: Request, error: Exception) -> Response:
    """Handler for a lone surrogate that a caller sent and a module took as a plain ``str``.

    JSON allows it (``"\\ud800"``), UTF-8 does not: no database and no answer can hold it, so it
    can only have come from outside.
    """
    if "surrogates not allowed" in str(error):
        return problem_response(
            Unprocessable("The request holds a lone surrogate, which no text may."), request.scope
        )
    return await on_unexpected(request, error)


async def on_unexpected(request: Request, _error: Exception) -> Response:
    """Handler for a fault of ours: nothing of the inside is told."""
    return problem_response(
        errors.InternalError("The fault was recorded under this request_id."), request.scope
    )


def exception_handlers() -> dict[Any, Any]:
    """The handlers of a version's sub-app, and of the root."""
    return {
        Problem: on_problem,
        HTTPException: on_http_exception,
        RequestValidationError: on_validation_error,
        UnicodeEncodeError: on_unencodable,
        PydanticSerializationError: on_unencodable,
        Exception: on_unexpected,
    }
