"""Services by contract: a module offers a Protocol, others ask for it, nobody imports the class.

svcs keeps the registry; one container a generation holds one instance of each service, made when it
is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import svcs
from fastapi import Depends
from starlette.requests import HTTPConnection

T = TypeVar("T")
SCOPE_SERVICES = "tessera.services"


@dataclass(frozen=True, slots=True)
class _Replacement:
    factory: Callable[[Any], Any]

    def __call__(self, context: Any) -> Any:
        return self.factory(context)


def replacing(factory: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Mark a factory in `services()`: it takes the place of a service of a required module."""
    return _Replacement(factory)


def is_replacement(factory: Callable[[Any], Any]) -> bool:
    """Whether a factory was marked by `replacing`."""
    return isinstance(factory, _Replacement)


class ServiceDependency:
    """Gives the service behind a contract to a route; the generation checks that there is one."""

    def __init__(self, contract: type[Any]) -> None:
        self.contract = contract

    async def __call__(self, connection: HTTPConnection) -> Any:
        """The one instance of this generation."""
        container: svcs.Container = connection.scope[SCOPE_SERVICES]
        return container.get(self.contract)


def service(contract: type[Any]) -> Any:
    """Dependency: ``products: Annotated[Products, service(Products)]``."""
    return Depends(ServiceDependency(contract))
