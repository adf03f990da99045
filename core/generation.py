"""One immutable build of the enabled modules: registry, versions, services, lifespans.

`compose` builds it and touches no server; ``start`` makes the services and enters the lifespans
in the order of requirements; ``stop`` leaves them in reverse. One supervisor task does both,
because an exit stack that another task closes breaks cancel scopes (anyio's rule).
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import isfunction
from typing import Any

import structlog
from fastapi import APIRouter
from starlette.types import Scope

from core import DISTRIBUTION, preflight
from core import registry as registries
from core.aside import aside
from core.belongings import kept
from core.db.session import SCOPE_DATABASE
from core.errors import ModuleFailure, Refused, by_a_person
from core.events.groups import plan_of
from core.extensions import Extension, policy_of
from core.hooks import Hooks
from core.http.access import check_routes
from core.http.version import VersionApp, version_number
from core.identity import SCOPE_AUTHENTICATORS, Asked, Authenticator
from core.lives import Lives, Manager, StartFailure, blame, could_not_start
from core.module_context import ModuleContext, World
from core.process import Resources
from core.registry import Module, Registry
from core.services import SCOPE_SERVICES
from core.settings import Settings
from core.steps import step
from core.warming import warm

log = structlog.get_logger("tessera.generation")

Overrides = dict[Callable[..., Any], Callable[..., Any]]


class Generation:
    """The modules at work. Never changed once built; a change of modules builds another."""

    def __init__(
        self,
        *,
        settings: Settings,
        resources: Resources,
        overrides: Overrides,
        excluded: Mapping[str, ModuleFailure],
        authenticators: Sequence[Authenticator] = (),
    ) -> None:
        """Raises StartFailure for a module that fails where all were built already."""
        self.settings = settings
        self.registry = registries.load(settings, excluded=excluded)
        self.versions = build_versions(self.registry, settings, overrides)
        self.world = World(settings=settings, registry=self.registry, resources=resources)
        self.contexts = {m.id: ModuleContext(m.id, self.world) for m in self.registry.enabled}
        self.events = plan_of(self.registry)
        self._register_services()
        self._gather_extensions()
        self.authenticators = [*authenticators, *self._ask_authenticators()]
        self.readiness: dict[str, Mapping[str, Callable[[], Any]]] = {}
        self.asking: dict[tuple[str, str], asyncio.Task[dict[str, str]]] = {}
        self.in_flight = 0
        self._idle: asyncio.Event | None = None
        self.scope_extras: Scope = {
            SCOPE_DATABASE: resources.database,
            SCOPE_SERVICES: self.world.container,
            SCOPE_AUTHENTICATORS: self.authenticators,
        }
        self._supervisor: asyncio.Task[None] | None = None
        self._leave = asyncio.Event()

    def _gather_extensions(self) -> None:
        """What modules add to the extension points of others, by point, in order."""
        for name, (_, point) in self.registry.points.items():
            for module in self.registry.enabled:
                if module.hooks is None or not module.hooks.has(name):
                    continue
                try:
                    made = module.hooks.call(name, context=self.contexts[module.id])
                    if not callable(made):
                        raise module.hooks.wrong(name, "a callable", made)
                except ModuleFailure as failure:
                    raise blame(module.id, failure) from failure
                self.world.extensions.setdefault(name, []).append(
                    Extension(name, module.id, policy_of(point), made)
                )

    def _ask_authenticators(self) -> list[Authenticator]:
        """Whoever can tell who calls, and how the schema describes it."""
        found: list[Authenticator] = []
        for module in self.registry.enabled:
            assert module.hooks is not None
            try:
                asked = module.hooks.sequence(
                    "authenticators", of=object, context=self.contexts[module.id]
                )
                with module.hooks.guarded("authenticators"):
                    schemes = _schemes_of(module.hooks, asked)
            except ModuleFailure as failure:
                raise blame(module.id, failure) from failure
            found.extend(Asked(module.id, authenticator) for authenticator in asked)
            for version in self.versions.values():
                version.security_schemes |= schemes
        return found

    def _register_services(self) -> None:
        for module in self.registry.enabled:
            for contract, factory in module.declared.services.items():
                made = partial(self._make, module.id, factory)
                self.world.services.register_factory(contract, made, enter=False)

    def _make(self, module_id: str, factory: Callable[[Any], Any]) -> Any:
        """A service. Raises StartFailure naming the factory's module, whoever asked for it.

        A factory that takes the place of another module's is the newcomer's fault when it fails.
        """
        try:
            with step(module_id, "the factory of a service"), kept(module_id):
                return factory(self.contexts[module_id])
        except (asyncio.CancelledError, StartFailure):
            raise
        except ModuleFailure as failure:
            raise StartFailure({module_id: failure}) from failure
        except BaseException as error:
            if by_a_person(error):
                raise
            raise could_not_start(module_id, error) from error

    def leave(self) -> None:
        """One request less; the last one of a generation that was replaced ends the waiting."""
        self.in_flight -= 1
        if self._idle is not None and not self.in_flight:
            self._idle.set()

    async def drained(self) -> None:
        """Wait until nothing that this generation began is still under way."""
        self._idle = asyncio.Event()
        if self.in_flight:
            await self._idle.wait()

    def warm(self) -> None:
        """Do the slow first work of every version now: the schema and the middleware. Blocks.

        Raises StartFailure for the module whose routes no schema can be made of.
        """
        strangers = {m.id for m in self.registry.enabled if m.distribution != DISTRIBUTION}
        for version in self.versions.values():
            warm(version, strangers=strangers)

    async def start(self) -> None:
        """Make the services, ask for authenticators, enter every lifespan.

        Raises StartFailure naming the module that cannot.
        """
        entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._supervisor = asyncio.create_task(self._live(entered), name="tessera-generation")
        try:
            await entered
        except BaseException:
            await asyncio.gather(self._supervisor, return_exceptions=True)
            raise

    async def stop(self) -> None:
        """Leave every lifespan, each after those that require it. Safe to call twice."""
        self._leave.set()
        if self._supervisor is not None:
            await asyncio.wait([self._supervisor])

    async def _live(self, entered: asyncio.Future[None]) -> None:
        lives = Lives(self.registry.enabled, self._prepare)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.world.container.aclose)
            stack.push_async_callback(lives.leave)
            try:
                await lives.enter()
                runtime = self.world.resources.events
                await stack.enter_async_context(runtime.consuming(self.events, self.contexts))
            except BaseException as error:
                if not entered.done():
                    entered.set_exception(error)
                return
            if entered.done():
                return
            entered.set_result(None)
            await self._leave.wait()

    def _prepare(self, module: Module) -> Manager | None:
        """Make a module's services, and ask for what it has to say before it serves."""
        assert module.hooks is not None
        context = self.contexts[module.id]
        for contract in module.declared.services:
            self.world.container.get(contract)
        self.readiness[module.id] = _checks_of(module.hooks, context)
        manager: object = module.hooks.call("lifespan", context=context)
        if manager is not None and not isinstance(manager, contextlib.AbstractAsyncContextManager):
            raise module.hooks.wrong("lifespan", "an async context manager", manager)
        return manager


def compose(
    settings: Settings,
    *,
    resources: Resources,
    overrides: Overrides | None = None,
    excluded: Mapping[str, ModuleFailure] | None = None,
    authenticators: Sequence[Authenticator] = (),
) -> Generation:
    """A generation of all modules that can be built, warm, and started by nobody yet.

    `authenticators` are the host's own; they are asked before those of the modules.
    """
    known = dict(excluded or {})
    shared = {} if overrides is None else overrides
    while True:
        try:
            generation = Generation(
                settings=settings,
                resources=resources,
                overrides=shared,
                excluded=known,
                authenticators=authenticators,
            )
            generation.warm()
        except StartFailure as failed:
            known.update(failed.failures)
            continue
        spoilers = {i: f for i, f in generation.registry.spoilers().items() if i not in known}
        if not spoilers:
            return generation
        known.update(spoilers)  # what they had claimed is free for whoever lost to them


def compose_carefully(
    settings: Settings, *, known: Mapping[str, ModuleFailure] | None = None
) -> Registry:
    """The modules as a server would build them, down to the routes, after the preflight.

    For commands, which a module must not end or hang either. `known` are failures of a start.
    """
    excluded = {**(known or {}), **preflight.failures_of(settings)}
    resources = Resources(settings)
    return aside(compose, settings, resources=resources, excluded=excluded).registry


def _checks_of(hooks: Hooks, context: ModuleContext) -> Mapping[str, Callable[[], Any]]:
    """A module's readiness checks. Raises ModuleFailure when they are something else."""
    checks = hooks.call("readiness", context=context) or {}
    named = isinstance(checks, Mapping) and all(isinstance(it, str) for it in checks)
    if not named or not all(map(callable, checks.values())):
        raise hooks.wrong("readiness", "a mapping {name: async callable}", checks)
    plain = [name for name, it in checks.items() if inspect.isfunction(it) and not _may_wait(it)]
    if plain:
        raise ModuleFailure(
            f"its readiness check {plain[0]} is a plain function, which would hold the loop",
            remedy="write it with async def; what blocks goes to asyncio.to_thread",
        )
    return checks


def _schemes_of(hooks: Hooks, asked: Sequence[Any]) -> dict[str, Mapping[str, Any]]:
    """{name in the schema: security scheme}. Raises ModuleFailure when they are something else."""
    if not all(map(callable, asked)):
        raise hooks.wrong("authenticators", "a list of callables", asked)
    found: dict[str, Mapping[str, Any]] = {}
    for index, authenticator in enumerate(asked):
        scheme = getattr(authenticator, "scheme", None)
        if not scheme:
            continue
        if not isinstance(scheme, Mapping):
            raise ModuleFailure(
                f"its authenticator's scheme is {type(scheme).__name__}, not a mapping",
                remedy='write it as OpenAPI does: {"type": "http", "scheme": "bearer"}',
            )
        name = hooks.module_id if index == 0 else f"{hooks.module_id}{index}"
        # As the schema will have it, and now: what JSON cannot hold would be everybody's 500.
        found[name] = json.loads(json.dumps(dict(scheme), allow_nan=False))
    return found


def _may_wait(function: Callable[..., Any]) -> bool:
    """Whether it is ``async def``, or a lambda that may give what such a one does."""
    return inspect.iscoroutinefunction(inspect.unwrap(function)) or function.__name__ == "<lambda>"


def refuse_without_required(registry: Registry) -> None:
    """Raises Refused when a module with ``required = true`` is not enabled and well."""
    for module in registry:
        if module.required and module.state == "failed":
            remedy = f"; {module.remedy}" if module.remedy else ""
            raise Refused(f"module {module.id!r} is required and failed: {module.reason}{remedy}")


def build_versions(
    registry: Registry, settings: Settings, overrides: Overrides
) -> dict[str, VersionApp]:
    """One application a version, of the routes of every enabled module.

    A module whose routes break a rule is failed in `registry`, and left out.
    """
    names = sorted(settings.api.versions, key=version_number)
    versions = {n: VersionApp(n, settings=settings, overrides=overrides) for n in names}
    for module in registry.enabled:
        if module.state == "enabled":
            registry.guard(module, partial(_add_routes, module, registry, versions))
        if module.state == "failed":
            for version in versions.values():
                version.remove_module(module.id)
    return versions


def _add_routes(module: Module, registry: Registry, versions: Mapping[str, VersionApp]) -> None:
    assert module.hooks is not None
    contracts = {c for m in registry.enabled for c in m.declared.services}
    for name, version in versions.items():
        routers = module.hooks.sequence("routers", of=APIRouter, version=name)
        for router in routers:
            _check_prefix(router)
        included = version.add_module(module.id, routers)
        check_routes(included, permissions=registry.permissions(), contracts=contracts)


def _has_lifespan(context: object) -> bool:
    """Whether it is somebody's: including a router puts the default ones of both together."""
    if not isfunction(context) or context.__name__ != "merged_lifespan":
        return isfunction(context)
    return any(_has_lifespan(cell.cell_contents) for cell in context.__closure__ or ())


def _check_prefix(router: APIRouter) -> None:
    if router.on_startup or router.on_shutdown or _has_lifespan(router.lifespan_context):
        raise ModuleFailure(
            f"its router {router.prefix or '/'} has a lifespan, on_startup or on_shutdown, which "
            "FastAPI runs for an application only",
            remedy="do that in the module's hook lifespan(context)",
        )
    if not router.prefix.strip("/"):
        raise ModuleFailure(
            "one of its routers has no prefix",
            remedy='give it one: APIRouter(prefix="/things")',
        )
    if "{" in router.prefix.split("/")[1]:
        raise ModuleFailure(
            f"its prefix {router.prefix!r} begins with a parameter",
            remedy="begin it with a fixed word",
        )
