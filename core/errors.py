"""Every error that Tessera raises on purpose.

::

    TesseraError
    ├── ConfigurationError          settings that cannot be used      exit code 2
    ├── Refused                     a command that will not be done   exit code 1
    ├── ModuleFailure               one module is out, the rest serve
    └── Problem                     an answer to an HTTP request (RFC 9457)
        ├── BadRequest          400
        ├── Unauthenticated     401  with WWW-Authenticate
        ├── Forbidden           403
        ├── NotFound            404
        ├── MethodNotAllowed    405  with Allow
        ├── Conflict            409
        ├── PayloadTooLarge     413
        ├── Unprocessable       422  with errors
        ├── TooManyRequests     429  with Retry-After
        ├── InternalError       500
        └── Unavailable         503  with Retry-After

A service raises a `Problem` (or its module's own subclass) and needs to know nothing of HTTP; the
web layer turns it into ``application/problem+json``. The docstring of each class is what
``/problems/{slug}`` shows to the person who met it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from core.masking import mask_urls, one_line

LONGEST_TEXT = 2_000
"""Characters of an error's own words that are told; a log has the rest in its traceback."""


def text_of(error: BaseException, *, for_operators: bool = False) -> str:
    """An error's own words; the name of its kind where it cannot even tell those.

    `for_operators`, in the log, it says what callers may not know: which server said what.

    What no encoding can write, as in the name of a file that is no UTF-8, is written as escapes, as
    is what would steer a terminal. The password of an address is left out.
    """
    try:
        more = error.for_operators if for_operators and isinstance(error, TesseraError) else ""
        text = mask_urls(more or str(error))
        text = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
        return "\n".join(one_line(line.expandtabs()) for line in text.split("\n"))
    except BaseException as worse:  # a stranger's __str__ may raise anything
        if by_a_person(worse):
            raise
        return type(error).__name__


def by_a_person(error: BaseException) -> bool:
    """Whether it is Ctrl-C, which comes to the main thread; elsewhere a module has raised it."""
    here = threading.current_thread() is threading.main_thread()
    return here and isinstance(error, KeyboardInterrupt)


class TesseraError(Exception):
    """The root of everything raised on purpose."""

    @property
    def for_operators(self) -> str:
        """What whoever runs this service may know of it: on the command line and in the log."""
        return str(self)


class ConfigurationError(TesseraError):
    """Settings cannot be used. The text is one line: what, where, and the nearest right thing."""


class Refused(TesseraError):
    """A command was understood and will not be done; the text says why and what to do instead."""


class ModuleFailure(TesseraError):
    """A module cannot be part of this generation.

    `reason` says what is wrong and `remedy` what a person can do about it; `code` is the one under
    which `check` tells of it, and `place` where, when that is not the module as a whole. `rival` is
    the module but for which this one would live.
    """

    def __init__(
        self, reason: str, *, remedy: str = "", code: str = "T001", place: str = "", rival: str = ""
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.code = code
        self.place = place
        self.rival = rival

    def __str__(self) -> str:
        return f"{self.reason} ({self.remedy})" if self.remedy else self.reason


RESERVED = frozenset({"type", "title", "status", "instance", "request_id"})
"""Members of every problem document; an extension of such a name would hide one."""


class Problem(TesseraError):
    """Something about the request, or about the service, prevented an answer."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "problem"
    title: ClassVar[str] = "Problem"

    def __init__(
        self,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        """`detail` is for the caller's eyes; `extensions` become members of the document."""
        if clash := RESERVED.intersection(extensions):
            raise TypeError(f"a problem has members of these names already: {sorted(clash)}")
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.headers = dict(headers or {})
        self.extensions = extensions


class BadRequest(Problem):
    """The request could not be read: a broken body, a NUL character in the path, a bad header."""

    status = HTTPStatus.BAD_REQUEST
    slug = "bad-request"
    title = "The request could not be read"


class Unauthenticated(Problem):
    """The address needs a signed-in caller. Send a valid, unexpired bearer token."""

    status = HTTPStatus.UNAUTHORIZED
    slug = "unauthenticated"
    title = "Sign in first"

    def __init__(self, detail: str = "", **extensions: Any) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"}, **extensions)


class Forbidden(Problem):
    """You are signed in, but your role does not include the permission that this needs."""

    status = HTTPStatus.FORBIDDEN
    slug = "forbidden"
    title = "Not allowed"


class NotFound(Problem):
    """There is nothing at this address, or nothing that you may see."""

    status = HTTPStatus.NOT_FOUND
    slug = "not-found"
    title = "Not found"


class MethodNotAllowed(Problem):
    """The address exists, but not for this method. The Allow header lists those that do."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    slug = "method-not-allowed"
    title = "Method not allowed"


class Conflict(Problem):
    """The request contradicts the present state: a taken name, a step that cannot follow."""

    status = HTTPStatus.CONFLICT
    slug = "conflict"
    title = "Conflict with the present state"


class PayloadTooLarge(Problem):
    """The body is larger than this service accepts. Send less in one request."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    slug = "payload-too-large"
    title = "The body is too large"


class Unprocessable(Problem):
    """The request was read, but its content is not valid. `errors` says where and why."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "validation"
    title = "The content is not valid"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        **extensions: Any,
    ) -> None:
        """`errors` are ``{"loc": [...], "msg": "...", "type": "..."}``, as pydantic gives them."""
        super().__init__(detail, errors=list(errors), **extensions)

    @classmethod
    def at(cls, *loc: str | int, msg: str, kind: str = "value_error") -> Unprocessable:
        """One error at one place: ``Unprocessable.at("body", "email", msg="…")``."""
        return cls(msg, errors=[{"loc": list(loc), "msg": msg, "type": kind}])


class TooManyRequests(Problem):
    """Too many attempts in a short time. Wait as long as Retry-After says."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    slug = "too-many-requests"
    title = "Too many attempts"

    def __init__(self, detail: str = "", *, retry_after: int = 60, **extensions: Any) -> None:
        """`retry_after` is in seconds."""
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, **extensions)


class InternalError(Problem):
    """A fault on our side. The request_id helps whoever runs this service to find it in the log."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    slug = "internal"
    title = "Something went wrong on our side"


class Unavailable(Problem):
    """A server that is needed cannot be reached just now. Try again after Retry-After seconds."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    slug = "unavailable"
    title = "Not available just now"

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after: int = 1,
        for_operators: str = "",
        only_this: bool = False,
        **extensions: Any,
    ) -> None:
        """`retry_after` is in seconds; `for_operators` says more than callers may know.

        `only_this` is for handlers of events: the server is there, and has put off this very
        message. While others are delivered, that it waits is no stall.
        """
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, **extensions)
        self.retry_after = retry_after
        self.only_this = only_this
        self._for_operators = for_operators

    @property
    def for_operators(self) -> str:
        """What was to be reached and why it was not; the detail when nobody knows more."""
        return self._for_operators or self.detail
