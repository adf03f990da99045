"""Who is calling, and what they may do.

Core asks; a module (auth, or a stranger's) answers through the `authenticators` hook. Every route
says who may call it: `public`, or `requires(...)`. One that says nothing makes its module fail when
the generation is built (`core.http.access`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

import structlog
from fastapi import Depends
from starlette.requests import HTTPConnection

from core.errors import Forbidden, Problem, Unauthenticated, Unavailable
from core.request import SCOPE_REQUEST, RequestInfo

log = structlog.get_logger("tessera.identity")

ROLES = ("user", "moderator", "admin")
"""The roles that a user may have; a module with an authenticator of its own may bring others."""
SCOPE_AUTHENTICATORS = "tessera.authenticators"
SCOPE_PRINCIPAL = "tessera.principal"


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in caller.

    ``id`` is the user's id, ``permissions`` what the role grants in this generation.
    """

    id: int
    role: str
    permissions: frozenset[str] = field(default_factory=frozenset)

    def can(self, permission: str) -> bool:
        """Whether the caller holds that permission."""
        return permission in self.permissions


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission that a module declares: ``Permission("orders:manage", roles=("moderator",))``.

    The name is ``<module id>:<verb>``. `roles` have it by default; admin has everything.
    """

    name: str
    roles: tuple[str, ...] = ()
    summary: str = ""


class Authenticator(Protocol):
    """Finds out who calls: a Principal, None when it cannot tell; it raises `Unauthenticated`
    when the caller presented something that is wrong (an expired token)."""

    def __call__(self, connection: HTTPConnection, /) -> Awaitable[Principal | None]: ...


class Asked:
    """A module's authenticator, which has a few seconds for its answer and may raise anything."""

    SECONDS = 5.0

    def __init__(self, module: str, authenticator: Authenticator) -> None:
        self._module = module
        self._authenticator = authenticator

    async def __call__(self, connection: HTTPConnection, /) -> Principal | None:
        """Raises Unavailable when there is no answer in time, and Unauthenticated."""
        limit = asyncio.timeout(self.SECONDS)
        try:
            async with limit:
                found = await self._authenticator(connection)
            if found is not None:
                _refuse_stranger(found, self._authenticator)
        except Problem:
            raise
        except (Exception, SystemExit) as error:
            if limit.expired():
                told = "an authenticator gave no answer"
                log.error(told, module=self._module, seconds=self.SECONDS)
                raise Unavailable("Who is calling cannot be found out just now.") from None
            log.error("an authenticator failed", module=self._module, reason=repr(error))
            raise RuntimeError(f"the authenticator of {self._module} failed") from error
        return found


def _refuse_stranger(found: object, authenticator: object) -> None:
    """Deny by default: whatever is no Principal is nobody, however a module came to return it."""
    if not isinstance(found, Principal):
        raise TypeError(f"{type(authenticator).__name__} returned {type(found).__name__}")


async def identify(connection: HTTPConnection) -> Principal | None:
    """The caller, found once a request; None when nobody is signed in.

    Raises Unauthenticated when credentials were sent and are not valid.
    """
    scope = connection.scope
    if SCOPE_PRINCIPAL in scope:
        return scope[SCOPE_PRINCIPAL]  # type: ignore[no-any-return]
    found: Principal | None = None
    authenticators: Sequence[Authenticator] = scope.get(SCOPE_AUTHENTICATORS, ())
    for authenticator in authenticators:
        found = await authenticator(connection)
        if found is not None:
            _refuse_stranger(found, authenticator)
            break
    scope[SCOPE_PRINCIPAL] = found
    request: RequestInfo | None = scope.get(SCOPE_REQUEST)
    if request is not None and found is not None:
        request.user = found.id  # on every log line from here on
    return found


async def _signed_in(connection: HTTPConnection) -> Principal:
    principal = await identify(connection)
    if principal is None:
        raise Unauthenticated(
            "This address needs a bearer token (Authorization: Bearer …); signing in gives one."
        )
    return principal


class Access:
    """What a route says of who may call it: public, the signed-in, or holders of permissions.

    The marker that the generation looks for on every route.
    """

    def __init__(self, *, public: bool, permissions: tuple[str, ...] = ()) -> None:
        self.public = public
        self.permissions = permissions

    def describe(self) -> str:
        """``public``, ``signed-in`` or the permissions, as the schema shows it."""
        if self.public:
            return "public"
        return ", ".join(self.permissions) or "signed-in"


class _PublicAccess(Access):
    def __init__(self) -> None:
        super().__init__(public=True)

    async def __call__(self) -> None:
        """Anybody may call."""


class _RequiredAccess(Access):
    def __init__(self, permissions: tuple[str, ...]) -> None:
        super().__init__(public=False, permissions=permissions)

    async def __call__(self, connection: HTTPConnection) -> Principal:
        """The caller. Raises Unauthenticated without one, Forbidden without a permission."""
        principal = await _signed_in(connection)
        for permission in self.permissions:
            if permission not in principal.permissions:
                raise Forbidden(f"This needs the permission {permission}.")
        return principal


def is_public_marker(call: Any) -> bool:
    """Whether a dependency is `public`, which does nothing when it is called."""
    return isinstance(call, _PublicAccess)


public: Any = Depends(_PublicAccess())
"""Dependency: anybody may call. ``APIRouter(dependencies=[public])``."""


def requires(*permissions: str) -> Any:
    """Dependency: a signed-in caller who holds all of `permissions`; without any, anyone signed in.

    ``@router.get("", dependencies=[requires("orders:read-all")])``, or as a parameter, where it
    gives the Principal. A name that no enabled module declares makes the module fail at build.
    """
    return Depends(_RequiredAccess(permissions))


CurrentPrincipal = Annotated[Principal, Depends(_signed_in)]
"""The signed-in caller as a parameter of a route; 401 when there is none."""

MaybePrincipal = Annotated[Principal | None, Depends(identify)]
"""The caller, or None when nobody is signed in."""

PermissionsOf = Callable[[str], frozenset[str]]
"""role -> the permissions that it has in this generation."""
