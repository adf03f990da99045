"""Runs every check over one deployment, and leaves out what the settings do not want to hear."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import ModuleType

from core import discovery
from core.checks.awaits import check_awaits
from core.checks.blocking import check_blocking
from core.checks.bodies import check_defaults, check_patches
from core.checks.claims import check_claims, check_commands, check_failures
from core.checks.codes import module_of_code, parse_silence
from core.checks.context import CheckContext, Route
from core.checks.deploy import as_production, check_deployment
from core.checks.events import check_events
from core.checks.finding import CORE, Finding, found, is_silenced, once
from core.checks.imports import check_imports
from core.checks.installed import check_installed
from core.checks.linters import check_with_ruff
from core.checks.migrated import check_migrations, check_offered
from core.checks.own import check_own
from core.checks.responses import check_responses
from core.checks.routes import check_routes
from core.checks.sessions import check_sessions
from core.checks.sources import package_of
from core.checks.validators import check_validators
from core.errors import ConfigurationError, ModuleFailure
from core.generation import build_versions
from core.http.version import VersionApp
from core.registry import Module, Registry, load
from core.settings import Settings

OF_A_MODULE: tuple[Callable[[CheckContext], Iterable[Finding]], ...] = (
    check_claims,
    check_imports,
    check_routes,
    check_patches,
    check_defaults,
    check_responses,
    check_validators,
    check_blocking,
    check_awaits,
    check_sessions,
    check_events,
)


def run(
    settings: Settings,
    *,
    deploy: bool = False,
    excluded: Mapping[str, ModuleFailure] | None = None,
) -> list[Finding]:
    """Everything that is wrong, module after module, in the order of places and codes.

    `excluded` names modules that must not be loaded, and why.

    Raises ConfigurationError for a silenced code of a module that is not there.
    """
    silences = [parse_silence(text) for text in settings.check.silence]
    judged = as_production(settings) if deploy else settings
    registry = load(judged, excluded=excluded)
    _refuse_unknown(settings, registry)
    versions = build_versions(registry, judged, {})
    contexts = contexts_of(registry, versions, judged, deploy=deploy)
    every = _unique(_all(registry, contexts, judged, deploy=deploy))
    kept = [finding for finding in every if not is_silenced(finding, silences)]
    return sorted(once(kept), key=_order)


def _refuse_unknown(settings: Settings, registry: Registry) -> None:
    for text in settings.check.silence:
        silence = parse_silence(text)
        for name in filter(None, (module_of_code(silence.code), silence.module)):
            if name not in registry.modules and name != CORE:
                near = difflib.get_close_matches(name, registry.modules, n=1)
                hint = f'; did you mean "{near[0]}"?' if near else ""
                raise ConfigurationError(
                    f'check.silence: "{text}": there is no module "{name}"{hint}'
                )


def _order(finding: Finding) -> tuple[bool, str, str, int, str]:
    place, _, line = finding.place.rpartition(":")
    number = int(line) if line.isdigit() else 0
    where = place if number else finding.place
    return (finding.module != CORE, finding.module, where, number, finding.code)


def _unique(findings: Iterable[Finding]) -> Iterator[Finding]:
    """One finding a code and place: ruff and a check of ours may see the same."""
    seen: set[tuple[str, str]] = set()
    for finding in findings:
        of_a_line = finding.code in ("T501", "T104")
        key = (finding.code, finding.place + ("" if of_a_line else finding.reason))
        if key not in seen:
            seen.add(key)
            yield finding


def _all(
    registry: Registry, contexts: list[CheckContext], settings: Settings, *, deploy: bool
) -> Iterator[Finding]:
    yield from check_failures(registry)
    yield from check_commands(registry)
    yield from _guarded(CORE, check_installed)
    for context in contexts:
        for check in OF_A_MODULE:
            yield from _guarded(context.module, check, context)
        if registry[context.module].state == "enabled":  # a failed one could not offer any
            yield from _guarded(context.module, check_offered, context)
    yield from _guarded(CORE, check_with_ruff, contexts)
    # Not core's own, about which a deployment can do nothing: our tests hold those to their models.
    of_modules = [it for it in registry.migrations() if it.module != CORE]
    yield from _guarded(CORE, check_migrations, of_modules)
    if deploy:
        yield from _guarded(CORE, check_deployment, settings)
    for context in contexts:
        module = registry[context.module]
        if module.state == "enabled" and module.hooks is not None:
            yield from check_own(context, module.hooks)


def _guarded(module: str, check: Callable[..., Iterable[Finding]], *given: object) -> list[Finding]:
    """A check's findings; one that trips over a module's odd code does not end the others."""
    try:
        return list(check(*given))
    except Exception as error:
        return [
            found(
                "T009",
                module=module,
                place=check.__name__,
                reason=f"it raised {discovery.summarise(error)}",
                remedy="tell the makers of Tessera, with the code that it tripped over",
            )
        ]


# --- what the checks are handed ---


def contexts_of(
    registry: Registry, versions: Mapping[str, VersionApp], settings: Settings, *, deploy: bool
) -> list[CheckContext]:
    """A context for each module that could be loaded, failed ones without routes and tables."""
    loaded = {m.id: m for m in registry if m.hooks is not None and m.manifest is not None}
    packages = _packages(loaded)
    everybody: list[CheckContext] = []
    neighbours = _neighbours()
    for module in loaded.values():
        assert module.hooks is not None
        package = packages[module.id]
        shared = sum(other == package for other in packages.values()) > 1
        context = _context(module, versions, settings)
        everybody.append(
            replace(
                context,
                deploy=deploy,
                package=package,
                only=_name(module.hooks.implementation) if shared else "",
                neighbours=neighbours,
                everybody=everybody,
            )
        )
    return everybody


def _context(
    module: Module, versions: Mapping[str, VersionApp], settings: Settings
) -> CheckContext:
    assert module.manifest is not None
    routes = [
        Route(name, entry)
        for name, version in versions.items()
        for table in version.tables.values()
        if table.module == module.id
        for entry in table.entries
    ]
    return CheckContext(
        module=module.id,
        manifest=module.manifest,
        settings=module.declared.settings,
        app=settings,
        tables=module.declared.tables,
        permissions=module.declared.permissions,
        routes=routes,
        events=module.declared.events,
        upcasters=module.declared.upcasters,
    )


def _packages(modules: Mapping[str, Module]) -> dict[str, str]:
    return {i: package_of(m.hooks.implementation) for i, m in modules.items() if m.hooks}


def _name(implementation: object) -> str:
    return implementation.__name__ if isinstance(implementation, ModuleType) else ""


def _neighbours() -> dict[str, str]:
    """The package of every installed module, enabled or not: ``modules.users`` is ``users``'s."""
    points = {f.id: discovery.module_of(f.entry_points[0]) for f in discovery.find().values()}
    packages = {name: module.rpartition(".")[0] or module for name, module in points.items()}
    shared = {p for p in packages.values() if list(packages.values()).count(p) > 1}
    return {points[i] if p in shared else p: i for i, p in packages.items()}
