"""Responses that show more than they should: a response model is a filter, a table is none."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from pydantic import SecretBytes, SecretStr

from core.checks.context import CheckContext, Route
from core.checks.finding import Finding
from core.checks.sent import tables_sent
from core.checks.types import Field, classes_in, is_table, reachable

MARK = "x-secret"
"""``Field(json_schema_extra={"x-secret": "meant"})`` says that a secret is what is asked for."""

_SECRET = re.compile(
    r"(.*_)?(passwords?|passwd|pwd|pw|passphrase|secrets?|(secret|private|api|access|signing"
    r"|encryption|master|ssh|hmac)_keys?|apikeys?|tokens?|jwt|credentials?|salt"
    r"|(recovery|backup)_codes|(secret|security)_answers?|(seed|recovery)_phrase"
    r"|(totp|otp|mfa)_seed|card_number|ssn)"
    r"(_?\d+|_?hash|_(hashed|digest|salt|encrypted|plain|ciphertext|value|text|pem|raw|base64))?"
    r"|pass|bearer"
)
_NO_SECRET = re.compile(
    r".*(page|next|prev|previous|cursor|continuation|sync|csrf)_token"
    r"|(.*_)?(stop|design|special)_tokens|(.*_)?masked_(card_number|ssn)"
    r"|(.*_)?(public|publishable)_(\w+_)?keys?"
)
_DIGITS = re.compile(
    r"(?!(.*_)?masked_)(.*_)?(otp|totp|passcode|pin|cvv|cvc|ssn|card_number)(_code|_hash)?"
)
"""These are secrets as numbers too."""
_UNSAID = inspect.Signature.empty
_CONTAINERS = (list, dict, tuple, set, frozenset, Sequence, Mapping)


def check_responses(context: CheckContext) -> Iterator[Finding]:
    """T201, T202 and T203."""
    told: set[Field] = set()
    for route in context.routes:
        if not route.methods or route.endpoint is None:
            continue
        for table in sorted(set(tables_sent(context, route)), key=lambda it: it.__name__):
            yield _table(context, route, table)
        answer = answer_of(route)
        if answer is _UNSAID:
            yield from _unsaid(context, route, "has neither a response model nor an annotation")
            continue
        if _is_vague(answer):
            yield from _unsaid(context, route, f"answers with {_written(answer)}")
        for item in _shown(route, answer):
            if is_table(item):
                yield _table(context, route, item)
            elif isinstance(item, Field) and is_secret(item) and item not in told:
                told.add(item)  # once is enough for a schema that many routes answer with
                yield _secret(context, route, item)


def answer_of(route: Route) -> Any:
    """The type of what a route answers; `Signature.empty` when nothing says it.

    A response model is what FastAPI filters by; with ``response_model=None`` there is no filter,
    and what is returned goes out as it is.
    """
    item = getattr(route.entry.context, "stream_item_type", None)
    model = route.entry.context.response_model
    if item is not None or model is not None:
        return item or model
    endpoint = inspect.unwrap(route.endpoint) if route.endpoint else None
    try:
        return typing.get_type_hints(endpoint, include_extras=True).get("return", _UNSAID)
    except (NameError, TypeError, AttributeError):
        return None


def _shown(route: Route, answer: Any) -> Iterator[type | Field]:
    """All that it answers with, and what it says that it answers with under other statuses."""
    yield from reachable(answer, without=_left_out(route, answer))
    for said in (getattr(route.entry.context, "responses", None) or {}).values():
        if isinstance(said, dict) and said.get("model") is not None:
            yield from reachable(said["model"])


def _is_vague(answer: Any) -> bool:
    """Whether a type lets anything through: ``Any``, ``dict``, ``list[object]``."""
    if answer is Any or answer is object or answer in _CONTAINERS:
        return True
    origin, inner = typing.get_origin(answer), typing.get_args(answer)
    if origin is typing.Annotated:
        return _is_vague(inner[0])
    if origin in (typing.Union, types.UnionType):
        return any(map(_is_vague, inner))
    return origin in _CONTAINERS and any(
        map(_is_vague, inner[1:] if origin in (dict, Mapping) else inner)
    )


def _written(answer: Any) -> str:
    name = answer.__name__ if isinstance(answer, type) and not typing.get_args(answer) else answer
    return str(name).replace("typing.", "")


def _unsaid(context: CheckContext, route: Route, what: str) -> Iterator[Finding]:
    status = route.entry.context.status_code
    if status is not None and status in (204, 205, 304):
        return
    yield context.found(
        "T203",
        context.place_of(route),
        f"it {what}: whatever it returns goes out",
        "annotate it with a schema that names the fields, or give response_model=",
    )


def _left_out(route: Route, answer: Any) -> frozenset[str]:
    """Fields that ``response_model_include`` and ``response_model_exclude`` keep back."""
    context = route.entry.context
    names = {item.name for item in reachable(answer) if isinstance(item, Field)}
    kept = set(context.response_model_include or names)
    excluded = context.response_model_exclude or ()
    if isinstance(excluded, Mapping):  # {"user": {"name"}} leaves the rest of the user in
        excluded = [name for name, what in excluded.items() if what is True or what is ...]
    return frozenset(names - kept | set(excluded))


def _table(context: CheckContext, route: Route, table: Any) -> Finding:
    return context.found(
        "T201",
        context.place_of(route),
        f"its response carries the table model {table.__name__}: every column goes out, those of "
        "tomorrow too",
        "answer with a schema that names the fields, or return a DTO",
    )


def _secret(context: CheckContext, route: Route, field: Field) -> Finding:
    return context.found(
        "T202",
        context.place_of(route),
        f"its response has the field {field}, which is named like a secret",
        f'leave it out; if it is meant, say Field(json_schema_extra={{"{MARK}": "meant"}})',
    )


def sounds_secret(name: str) -> bool:
    """Whether a name in snake case is one that text would be secret under."""
    return bool(_SECRET.fullmatch(name) and not _NO_SECRET.fullmatch(name))


def is_secret(field: Field) -> bool:
    """Whether a field holds text, is named like a secret, and does not say that it is meant."""
    names = {_snake(field.name), _snake(field.shown)}
    as_digits = any(map(_DIGITS.fullmatch, names))
    as_text = any(map(sounds_secret, names))
    return (as_text or as_digits) and _is_shown(field, as_digits) and not field.marked(MARK)


def _is_shown(field: Field, as_digits: bool) -> bool:
    """``has_password: bool`` and ``token: Literal["x"]`` hold no secret; SecretStr shows none.

    Unless a serializer of its own lets it out.
    """
    annotation = field.annotation
    if annotation is Any or any(it is Any for it in typing.get_args(annotation)):
        return True
    if typing.get_origin(annotation) in (dict, Mapping):  # how many tokens each has: no secret
        annotation = typing.get_args(annotation)[1]
    kinds = set(classes_in(annotation))
    if as_digits and int in kinds:
        return True
    text = (str, bytes, UUID, *((SecretStr, SecretBytes) if _has_serializer(field) else ()))
    return any(issubclass(kind, text) for kind in kinds)


def _has_serializer(field: Field) -> bool:
    decorators = getattr(field.owner, "__pydantic_decorators__", None)
    serializers = decorators.field_serializers.values() if decorators else ()
    return any(field.name in it.info.fields for it in serializers)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
