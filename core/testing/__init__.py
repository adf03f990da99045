"""The kit for authors of modules: a pytest plugin, there as soon as Tessera is installed.

``app_factory`` starts an application of the modules under test and what they require, ``client``
talks to one version of it, ``as_user`` signs somebody in, ``session`` and ``sync_session`` reach
its database, ``frozen_time`` stops the clock, ``published`` lists its events and ``scenario`` says
what is to follow from a request. `start_app` is the same without pytest's fixtures, for
applications that several tests share. docs/testing.md shows each at work.

pytest imports this package whenever Tessera is installed beside it, so everything heavy (the
application, the database) is imported by the first test that asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.testing.clock import FrozenTime
from core.testing.fixtures import (
    AppFactory,
    SignIn,
    app_factory,
    as_user,
    client,
    frozen_time,
    published,
    scenario,
    session,
    sync_session,
)

if TYPE_CHECKING:
    from core.testing.app import RunningApp, start_app
    from core.testing.client import Client
    from core.testing.events import DeliveryFailed, Events, FailedDelivery, Scenario
    from core.testing.sessions import KitSession, SyncKitSession

__all__ = [
    "AppFactory",
    "Client",
    "DeliveryFailed",
    "Events",
    "FailedDelivery",
    "FrozenTime",
    "KitSession",
    "RunningApp",
    "Scenario",
    "SignIn",
    "SyncKitSession",
    "app_factory",
    "as_user",
    "client",
    "frozen_time",
    "published",
    "scenario",
    "session",
    "start_app",
    "sync_session",
]

_HEAVY = {
    "Client": "core.testing.client",
    "DeliveryFailed": "core.testing.events",
    "Events": "core.testing.events",
    "FailedDelivery": "core.testing.events",
    "KitSession": "core.testing.sessions",
    "RunningApp": "core.testing.app",
    "Scenario": "core.testing.events",
    "SyncKitSession": "core.testing.sessions",
    "start_app": "core.testing.app",
}


def __getattr__(name: str) -> Any:
    """What costs an import of the whole framework, imported when it is asked for."""
    import importlib

    if name not in _HEAVY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HEAVY[name]), name)
