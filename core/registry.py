"""The modules of one deployment: which were found, which live, which failed and why.

`load` asks every enabled module for its declarations in the order of their requirements. What one
does wrong becomes its reason; what requires it stays out with it; the rest go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from core import __version__, discovery, preflight
from core.aside import aside
from core.declarations import Claims, Declarations, declare
from core.errors import ModuleFailure, by_a_person
from core.events.backlog import RELAY
from core.events.groups import check_subscriptions
from core.extensions import points_of
from core.hooks import Hooks
from core.identity import ROLES, Permission
from core.manifest import Manifest
from core.ordering import order
from core.steps import step
from core.verbs import taken

if TYPE_CHECKING:
    from core.db.migrations import ModuleMigrations
    from core.settings import ModuleSection, Settings

State = Literal["enabled", "disabled", "failed"]
ADMIN = "admin"
CORE = "core"
"""The id under which core's own tables are migrated; no module may have it."""
_RESERVED = {
    CORE: "its id is that of core's own tables",
    RELAY: "its id is that of the relay, which has dead letters and leases under this name",
}


@dataclass(slots=True)
class Module:
    """One module as this deployment sees it."""

    id: str
    version: str = ""
    distribution: str = ""
    state: State = "disabled"
    reason: str = ""
    remedy: str = ""
    code: str = ""
    place: str = ""
    required: bool = False
    manifest: Manifest | None = None
    hooks: Hooks | None = None
    declared: Declarations = field(default_factory=Declarations)
    cause: BaseException | None = None
    failure: ModuleFailure | None = None

    @property
    def requires(self) -> tuple[str, ...]:
        """The ids that it cannot live without."""
        return self.manifest.requires if self.manifest else ()

    def fail(self, failure: ModuleFailure) -> None:
        """Out of this generation, with a reason that a person can act on."""
        self.state = "failed"
        self.failure = failure
        self.reason = failure.reason
        self.remedy = failure.remedy
        self.code = failure.code
        self.place = failure.place
        self.cause = failure.__cause__
        self.declared = Declarations()


class Registry:
    """All modules by id, the enabled ones in the order of their requirements."""

    def __init__(self, modules: Mapping[str, Module], ordered: list[str]) -> None:
        self.modules = dict(modules)
        self.points: dict[str, tuple[str, Callable[..., Any]]] = {}
        self._ordered = ordered

    def __iter__(self) -> Iterator[Module]:
        return iter(self.modules.values())

    def __getitem__(self, module_id: str) -> Module:
        return self.modules[module_id]

    @property
    def enabled(self) -> list[Module]:
        """Those that live, each after all that it requires."""
        return [self.modules[i] for i in self._ordered if self.modules[i].state == "enabled"]

    @property
    def failed(self) -> list[Module]:
        """Those that should live and cannot."""
        return [module for module in self if module.state == "failed"]

    def migrations(self) -> list[ModuleMigrations]:
        """What core and then each enabled module bring to the database, in order."""
        from core.db.migrations import ModuleMigrations
        from core.events.tables import TABLES

        return [
            ModuleMigrations(CORE, "core.events:migrations", TABLES),
            *(
                ModuleMigrations(
                    module=module.id,
                    location=module.declared.migrations,
                    tables=module.declared.tables,
                )
                for module in self.enabled
            ),
        ]

    def permissions(self) -> dict[str, Permission]:
        """Every permission that an enabled module declares, by name."""
        return {p.name: p for module in self.enabled for p in module.declared.permissions}

    def roles(self) -> frozenset[str]:
        """Every role that somebody may have: core's, and those that enabled modules bring."""
        manifests = (m.manifest for m in self.enabled if m.manifest is not None)
        return frozenset((*ROLES, *(role for manifest in manifests for role in manifest.roles)))

    def spoilers(self) -> dict[str, ModuleFailure]:
        """Those that failed after they had kept another one out: it lives without them."""
        failures = {m.id: m.failure for m in self.failed if m.failure}
        rivals = {failure.rival for failure in failures.values()}
        # One that lost to another of them has its own turn, once that one is out.
        return {i: f for i, f in failures.items() if i in rivals and f.rival not in failures}

    def fail_dependents(self) -> None:
        """Take out whatever requires a module that is out."""
        for module in self.enabled:
            for needed in module.requires:
                if self.modules[needed].state != "enabled":
                    module.fail(_missing(needed, self.modules.get(needed)))
                    break

    def guard(self, module: Module, action: Callable[[], None]) -> None:
        """Do something for a module; what it raises fails that module and what requires it."""
        try:
            with step(module.id, "what it declares"):
                action()
        except ModuleFailure as failure:
            module.fail(failure)
        except BaseException as error:  # a module may raise anything, SystemExit included
            if by_a_person(error):
                raise
            unexpected = ModuleFailure(
                discovery.summarise(error), remedy=f"mend or disable {module.id}"
            )
            unexpected.__cause__ = error
            module.fail(unexpected)
        self.fail_dependents()


def load_carefully(settings: Settings) -> Registry:
    """`load`, after the preflight: for commands, which a module must not end or hang either."""
    return aside(load, settings, excluded=preflight.failures_of(settings))


def load(settings: Settings, *, excluded: Mapping[str, ModuleFailure] | None = None) -> Registry:
    """Find, load and ask every module that `settings` enables.

    `excluded` names modules that are known to fail later on (a migration, a lifespan) and why.
    """
    found = discovery.find()
    modules: dict[str, Module] = {}
    # In the order of the settings: of two modules that claim one prefix, the first named has it.
    for name, section in settings.modules.items():
        if name in found:
            modules[name] = _known(found[name], section)
        elif section.enabled:
            modules[name] = _absent(name, section, list(found))
    for name in found:
        modules.setdefault(name, _known(found[name], None))
    for name, failure in (excluded or {}).items():
        if name in modules:
            modules[name].fail(failure)
    wanted = [m for m in modules.values() if m.state == "enabled"]
    for module in wanted:
        _load_one(module, found[module.id])
    registry = Registry(modules, _order(modules))
    _gather_points(registry)
    _declare_all(registry, settings)
    for module in registry.enabled:
        if module.state == "enabled":
            registry.guard(module, partial(check_roles, module, registry))
    return registry


def check_roles(module: Module, registry: Registry) -> None:
    """Raises ModuleFailure when a permission is given to a role that nobody can have."""
    known = registry.roles()
    for permission in module.declared.permissions:
        for role in permission.roles:
            if role not in known:
                raise ModuleFailure(
                    f"its permission {permission.name!r} is for the role {role!r}, which nobody "
                    f"has; there are {', '.join(sorted(known))}",
                    remedy="mend the name, or declare the role: Manifest(roles=(...,))",
                    place=permission.name,
                )


def _known(found: discovery.Found, section: ModuleSection | None) -> Module:
    enabled = section is not None and section.enabled
    return Module(
        id=found.id,
        version=found.version,
        distribution=found.distribution,
        state="enabled" if enabled else "disabled",
        reason="" if enabled else _why_disabled(section),
        required=section is not None and section.required,
    )


def _why_disabled(section: ModuleSection | None) -> str:
    return "switched off in the settings" if section else "installed, but not named in the settings"


def _absent(name: str, section: ModuleSection, known: list[str]) -> Module:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? else install" if near else "install"
    module = Module(id=name, required=section.required)
    module.fail(
        ModuleFailure(
            f"no installed distribution offers a module {name!r}",
            remedy=f"{hint} the one that does, or take [modules.{name}] out of the settings",
        )
    )
    return module


def _load_one(module: Module, found: discovery.Found) -> None:
    try:
        if module.id in _RESERVED:
            raise ModuleFailure(_RESERVED[module.id], remedy="give it another id")
        hooks = Hooks(module.id, discovery.load(found))
        manifest = hooks.manifest()
        module.hooks, module.manifest = hooks, manifest
        module.version = manifest.version
        if manifest.id != module.id:
            raise ModuleFailure(
                f"its manifest says {manifest.id!r}, its entry point {module.id!r}",
                remedy="give both the same id",
            )
        if not manifest.accepts_core(__version__):
            raise ModuleFailure(
                f"it was made for core {manifest.core}, this is {__version__}",
                remedy="install a version of it that supports this core",
            )
        if hooks.has("commands") and module.id in taken():
            raise ModuleFailure(
                f"its commands would stand under `tessera {module.id}`, which is taken",
                remedy="give it another id, or leave out its hook commands()",
            )
    except ModuleFailure as failure:
        module.fail(failure)


def _order(modules: Mapping[str, Module]) -> list[str]:
    """Requirements first; missing ones and cycles fail the modules that have them."""
    manifests = {m.id: m.manifest for m in modules.values() if m.state == "enabled" and m.manifest}
    ordered, cyclic = order(manifests)
    for name, cycle in cyclic.items():
        modules[name].fail(
            ModuleFailure(
                f"it requires itself in a circle: {' -> '.join(cycle)}",
                remedy="break the circle in one of the manifests",
            )
        )
    for name in ordered:
        _check_neighbours(modules[name], modules)
    return ordered


def _check_neighbours(module: Module, modules: Mapping[str, Module]) -> None:
    assert module.manifest is not None
    for needed in module.manifest.requires:
        other = modules.get(needed)
        if other is None or other.state != "enabled":
            module.fail(_missing(needed, other))
            return
    for rival in module.manifest.conflicts:
        other = modules.get(rival)
        if other is not None and other.state == "enabled":
            module.fail(
                ModuleFailure(
                    f"it cannot live beside {rival!r}",
                    remedy="disable one of the two",
                    rival=rival,
                )
            )
            return


def _missing(needed: str, other: Module | None) -> ModuleFailure:
    if other is None:
        return ModuleFailure(
            f"it requires {needed!r}, which is not installed",
            remedy=f"install the distribution that offers {needed!r}",
        )
    if other.state == "disabled":
        return ModuleFailure(
            f"it requires {needed!r}, which is disabled",
            remedy=f"set enabled = true in [modules.{needed}]",
        )
    return ModuleFailure(
        f"it requires {needed!r}, which failed: {other.reason}",
        remedy=f"mend {needed!r} first",
    )


def _gather_points(registry: Registry) -> None:
    """Collect the extension points that modules offer, then hold every module's hooks to them."""
    holders: dict[str, ModuleType] = {}

    def offer(module: Module) -> None:
        assert module.hooks is not None
        holder = module.hooks.call("hookspecs")
        if holder is not None:
            points = points_of(holder, module=module.id)
            holders[module.id] = holder
            registry.points.update({name: (module.id, point) for name, point in points.items()})

    def meet(module: Module) -> None:
        assert module.hooks is not None
        assert module.manifest is not None
        may_lack = {*module.manifest.requires, *module.manifest.optional} - set(holders)
        module.hooks.meet(holders.values(), absent=may_lack)

    for ask in (offer, meet):
        for module in registry.enabled:
            if module.state == "enabled":
                registry.guard(module, partial(ask, module))


def _declare_all(registry: Registry, settings: Settings) -> None:
    claims: Claims = {}
    for module in registry.enabled:
        if module.state != "enabled":  # it required one that has failed meanwhile
            continue
        registry.guard(module, partial(_declare_one, module, settings, claims))

    for module in registry.enabled:
        if module.state == "enabled":
            registry.guard(module, partial(check_subscriptions, module, registry))


def _declare_one(module: Module, settings: Settings, claims: Claims) -> None:
    assert module.hooks is not None
    module.declared = declare(module.hooks, settings.modules[module.id], claims)
