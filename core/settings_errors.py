"""What was wrong with the settings, in words that fit on one line and hold no secret.

pydantic says what it did not like and where in the tree; these functions turn that into the file
or variable, the key, and the nearest key that exists.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core.masking import MASK, mask_urls, one_line, password_in
from core.settings_sources import VARIABLE_PLACES, flatten, variable_of

_SECRET = re.compile(
    r"(password|passwd|passphrase|pwd|secret|token|credential|dsn|(^|_)key|apikey)s?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where and what, and what to write instead when that is known.

    `key` is the setting to mend; `missing` says that there is none.
    """

    text: str
    hint: str = ""
    key: str = ""
    missing: bool = False

    def __str__(self) -> str:
        return one_line(f"{self.text}; {self.hint}" if self.hint else self.text)


def is_secret(key: str) -> bool:
    """Whether a dotted key sounds like a secret: ``smtp_password`` does, ``token_minutes`` not."""
    return any(
        (found := list(_SECRET.finditer(part))) and found[-1].end() == len(part)
        for part in key.split(".")
    )


def secrets_in(data: Mapping[str, Any]) -> Iterator[str]:
    """The secret values in a tree, so that no message may show them."""
    for key, value in flatten(data):
        text = str(value)
        if is_secret(key):
            yield text
        elif found := password_in(text):
            yield found


def scrub(text: str, secrets: Collection[str]) -> str:
    """The text without those secrets; too short or too common ones cannot be told from prose."""
    for secret in sorted((s for s in secrets if _hidable(s)), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def _hidable(secret: str) -> bool:
    return len(secret) > 3 and secret not in "postgresql sqlite+aiosqlite redis tessera password"


# --- nearest keys ---


def nearest(key: str, known: Collection[str]) -> str | None:
    """The known key that was probably meant: a sibling, the same name elsewhere, or alike."""
    section, _, name = key.rpartition(".")
    siblings = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == section}
    if close := difflib.get_close_matches(name, siblings, 1):
        return siblings[close[0]]
    if elsewhere := [k for k in known if k.endswith(f".{name}") and k.count(".") == 1]:
        return elsewhere[0]
    around = {k for k in known if key.startswith(f"{k}.")}
    others = [k for k in known if k not in around or not _has_keys(k, known)]
    return next(iter(difflib.get_close_matches(key, others, 1)), None)


def _has_keys(section: str, known: Collection[str]) -> bool:
    return any(key.startswith(f"{section}.") for key in known)


def with_sections(keys: Collection[str]) -> list[str]:
    """The keys and the sections that they lie in."""
    sections = {key[:at] for key in keys for at, c in enumerate(key) if c == "."}
    return [*keys, *sorted(sections)]


def _instead(key: str, known: Collection[str], *, as_variable: bool) -> str:
    near = nearest(key, known)
    if near:
        return f"did you mean {variable_of(near) if as_variable else _quoted(near)}?"
    section = key.rpartition(".")[0]
    here = sorted(k for k in known if k.rpartition(".")[0] == section)
    return f"known are {', '.join(here)}" if here else ""


def _quoted(key: str) -> str:
    return f'"{key}"'


# --- pydantic's errors ---


def findings(
    error: ValidationError,
    *,
    origins: Mapping[str, str],
    known: Collection[str],
    model: type[BaseModel],
    secrets: Collection[str],
    prefix: str = "",
) -> list[Finding]:
    """Each error of a validation in our words.

    `origins` tells where each dotted key was found, `known` names the keys that there are,
    `secrets` are values that no message may show, `prefix` (``modules.orders.``) stands before the
    places that pydantic names.
    """
    found = []
    for details in error.errors(include_url=False):
        dotted, kind = _dotted(details, prefix), details["type"]
        key, origin = _found(dotted, origins)
        annotation = _annotation(model, details["loc"])
        beneath = key != dotted and isinstance(details["input"], Mapping) and _is_no_table(kind)
        if beneath or kind == "extra_forbidden" or details["loc"][-1:] == ("[key]",):
            found.append(_unknown(key, origin, known))
            continue
        if isinstance(details["input"], Mapping) and (places := _places(dotted, origins)):
            key, origin = dotted, places
        what = scrub(_what(details, quotable=not is_secret_field(key, annotation)), secrets)
        text = _placed(what, key=key, origin=origin, single=origins.get(key) == origin)
        hint, missing = _did_you_mean(details, annotation), kind == "missing"
        found.append(Finding(text, hint, key, missing=missing))
    return found


def _dotted(details: ErrorDetails, prefix: str) -> str:
    inside = ".".join(str(part) for part in details["loc"] if part != "[key]")
    return prefix + inside if inside else prefix.rstrip(".")  # a whole section may be wrong


def is_secret_field(key: str, annotation: Any) -> bool:
    """Whether a key holds a secret, by its type or by how it is called."""
    return is_secret(key) or "Secret" in repr(annotation)


def _annotation(model: type[BaseModel], loc: tuple[int | str, ...]) -> Any:
    """The type that was asked for at a place, as far as models go."""
    annotation: Any = model
    for name in loc:
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        field = annotation.model_fields.get(str(name))
        annotation = field.annotation if field else None
    return annotation


def _unknown(key: str, origin: str, known: Collection[str]) -> Finding:
    hint = _instead(key, known, as_variable=origin.startswith(VARIABLE_PLACES))
    return Finding(
        f"{origin}: unknown key {_quoted(key)}" if origin else f"unknown key {_quoted(key)}", hint
    )


def _placed(what: str, *, key: str, origin: str, single: bool) -> str:
    """The place, the key and what is wrong; a variable that holds one value needs no key."""
    start = f"{origin}: " if origin else ""
    if single and origin.startswith(VARIABLE_PLACES):
        return start + what
    return f"{start}{key}{' ' if what.startswith(('is ', 'must ')) else ': '}{what}"


def _found(key: str, origins: Mapping[str, str]) -> tuple[str, str]:
    """The key as its place knows it, and the place: of itself, of what is around it or in it."""
    around = key
    while around:
        if around in origins:
            return key, origins[around]
        around = around.rpartition(".")[0]
    inside = next((k for k in origins if k.startswith(f"{key}.")), None)
    if inside is None:
        return key, ""
    origin = origins[inside]
    return (inside if origin.startswith(VARIABLE_PLACES) else key), origin


def _places(section: str, origins: Mapping[str, str]) -> str:
    """Where the keys of a section were found, whichever of them is at fault."""
    inside = (it for key, it in origins.items() if key.startswith(f"{section}."))
    found = dict.fromkeys(it for it in inside if it != "default")
    if len(found) > 1:  # a variable alone says nothing of the others
        names = (it.rpartition(" ")[0] if it.startswith(VARIABLE_PLACES) else it for it in found)
        found = dict.fromkeys(names)
    return " and ".join(found)


_IS_NOT: Mapping[str, str] = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "date": "a date (2026-11-01)",
    "datetime": "a date and time",
    "time_delta": "a duration",
    "string": "text",
    "tuple": "a list",
    "list": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "mapping": "a table",
    "dict": "a table",
    "model": "a section with keys of its own",
}
_OF_TYPE = re.compile(r"(\w+?)(_type|_parsing|_from_\w+|_attributes_type|_inexact)+")


def _is_no_table(kind: str) -> bool:
    """Whether an error says that no table may stand there, so that nothing in it has a meaning."""
    return kind in ("literal_error", "enum") or _OF_TYPE.fullmatch(kind) is not None


def _what(details: ErrorDetails, *, quotable: bool) -> str:
    """What is wrong, with the value where it is short and no secret."""
    kind, context = details["type"], details.get("ctx", {})
    found = _OF_TYPE.fullmatch(kind)
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(context.get("error", "is not valid"))
    if kind == "literal_error":
        return f"{_shown(details, quotable)} not one of {context['expected']}".replace("'", "")
    if found and found[1] in _IS_NOT:
        return f"{_shown(details, quotable)} not {_IS_NOT[found[1]]}"
    message = details["msg"].removeprefix("Input should ").removeprefix("Value should ")
    if message.startswith(("be ", "have ")):
        return f"must {message}"
    return message[:1].lower() + message[1:]


def _shown(details: ErrorDetails, quotable: bool) -> str:
    value = details["input"]
    if isinstance(value, str) and quotable and len(value) <= 60:
        return f'"{mask_urls(value, prose=False)}" is'
    if isinstance(value, bool):
        return f"{str(value).lower()} is"
    if isinstance(value, int | float) and quotable:
        return f"{value} is"
    return "is"


def _did_you_mean(details: ErrorDetails, annotation: Any) -> str:
    """The nearest of a few allowed words."""
    if details["type"] != "literal_error" or get_origin(annotation) is not Literal:
        return ""
    words = [str(word) for word in get_args(annotation)]
    close = difflib.get_close_matches(str(details["input"]).lower(), words, 1, 0.5)
    return f"did you mean {_quoted(close[0])}?" if close else ""
