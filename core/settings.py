"""The settings of a deployment: read once, typed, frozen, and strict about what they do not know.

Places, each overriding the one before: defaults, settings.toml, the secrets directory, .env, the
environment, and what a command line said. `load_settings` reads them; nothing is read at import.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from core.errors import ConfigurationError
from core.masking import one_line
from core.settings_errors import findings, secrets_in, with_sections
from core.settings_guards import SECRET_KEY_FILE, kept_secret_key, production_faults
from core.settings_models import (
    ApiSettings,
    AppSettings,
    CheckSettings,
    CorsSettings,
    DatabaseSettings,
    EventsSettings,
    KafkaSettings,
    ModuleSection,
    RedisSettings,
    ServerSettings,
    VersionSettings,
    fields_of,
)
from core.settings_modules import decode, module_settings, switch_warnings
from core.settings_sources import (
    SETTINGS_VARIABLE,
    Layer,
    LayerSource,
    dotenv_variables,
    flatten,
    secret_variables,
    toml_layer,
    tree_layer,
    variables_layer,
)

__all__ = [
    "ApiSettings",
    "AppSettings",
    "CheckSettings",
    "CorsSettings",
    "DatabaseSettings",
    "EventsSettings",
    "KafkaSettings",
    "ModuleSection",
    "RedisSettings",
    "ServerSettings",
    "Settings",
    "VersionSettings",
    "core_fields",
    "load_settings",
    "module_settings",
]

SETTINGS_FILE = "settings.toml"
DOTENV_FILE = ".env"

_layers: ContextVar[Sequence[Layer]] = ContextVar("layers", default=())


class Settings(BaseSettings):
    """Everything that a deployment decides; see each section for its keys."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    app: AppSettings = Field(default_factory=AppSettings)
    server: ServerSettings = Field(default_factory=ServerSettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    events: EventsSettings = Field(default_factory=EventsSettings)
    cors: CorsSettings = Field(default_factory=CorsSettings)
    check: CheckSettings = Field(default_factory=CheckSettings)
    modules: Mapping[str, ModuleSection] = Field(
        default_factory=dict, description="a table a module: enabled, required and its own keys"
    )

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _warnings: tuple[str, ...] = PrivateAttr(default=())
    _blank_file: str = PrivateAttr(default="")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what was handed over and the layers that `load_settings` read, never the outside."""
        return (init_settings, *(LayerSource(settings_cls, layer) for layer in _layers.get()))

    @property
    def origins(self) -> Mapping[str, str]:
        """Where each setting in force came from, by dotted key."""
        return self._origins

    @property
    def warnings(self) -> tuple[str, ...]:
        """What looked odd and did no harm; the log shows it at the start."""
        return self._warnings

    @property
    def blank_file(self) -> str:
        """The settings file, where it holds no table at all; else nothing.

        Whoever decides everything by variables has one; so has a full disk, or an editor that is
        about to write.
        """
        return self._blank_file

    def refuse_unsafe(self, *, workers: int | None = None) -> None:
        """Raise ConfigurationError for what must not go into production; elsewhere do nothing.

        `workers` is how many there will really be, when the command line says so.
        """
        if self.app.environment == "production":
            faults = production_faults(self, workers=workers or self.server.workers)
            if found := "; ".join(faults):
                raise ConfigurationError(one_line(found))

    @classmethod
    def for_tests(cls, **sections: Any) -> Settings:
        """Settings made of nothing but these tables: environment test, a made-up secret key.

        ``Settings.for_tests(database={"url": url}, modules={"users": {"enabled": True}})``. Raises
        ConfigurationError as `load_settings` does.
        """
        app = {"environment": "test", **sections.pop("app", {})}
        return _settled(_build([tree_layer({"app": app, **sections}, origin="test")]))


def core_fields() -> list[tuple[str, str, Any]]:
    """Every setting of core's own: dotted key, description, default."""
    return [entry for entry in fields_of(Settings) if entry[0] != "modules"]


def load_settings(
    path: str | Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read every place and return what is in force.

    `path` names the settings file; else the variable TESSERA_SETTINGS does, else it is
    settings.toml in the working folder, where .env and var/ lie too. `environ` stands in for the
    process's environment. `overrides` is a tree that wins over all: ``{"server": {"port": 9000}}``.

    In development without a secret key, one is made in var/secret_key. Raises ConfigurationError,
    whose text is one line and shows no secret.
    """
    variables = os.environ if environ is None else environ
    dotenv, warnings = dotenv_variables(Path(DOTENV_FILE))
    layers = [
        tree_layer(overrides or {}, origin="command line"),
        variables_layer(variables, place="environment"),
        variables_layer(dotenv, place=".env"),
    ]
    toml = _settings_file(path, environment=variables, dotenv=dotenv)
    layers += [*_secrets_layer([*layers, toml]), toml]
    settings = _build(layers)
    settings._warnings = (*warnings, *settings._warnings)
    settings._blank_file = "" if toml.data else toml.file
    return _settled(settings)


def _settings_file(
    path: str | Path | None, *, environment: Mapping[str, str], dotenv: Mapping[str, str]
) -> Layer:
    if path:
        return toml_layer(Path(path), named_by="the command line")
    for place, variables in (("environment", environment), (".env", dotenv)):
        if named := variables.get(SETTINGS_VARIABLE):
            return toml_layer(Path(named), named_by=f"{place} {SETTINGS_VARIABLE}")
    return toml_layer(Path(SETTINGS_FILE))


def _secrets_layer(others: Sequence[Layer]) -> Iterator[Layer]:
    """The secrets directory, which the other layers (strongest first) may name.

    Raises ConfigurationError when one was named that is no directory.
    """
    default = AppSettings.model_fields["secrets_dir"].default
    for layer in others:
        app = layer.data.get("app")
        if isinstance(app, Mapping) and isinstance(app.get("secrets_dir"), str):
            named, origin = Path(app["secrets_dir"]), layer.origin_of("app.secrets_dir")
            break
    else:
        named, origin = Path(default), None
    if named.is_dir() and named != Path():
        yield variables_layer(secret_variables(named), place="secrets directory")
    elif origin and named not in (Path(), Path(default)):
        raise ConfigurationError(one_line(f"{origin}: app.secrets_dir: {named} is no directory"))


# --- from layers to settings ---


def _build(layers: Sequence[Layer]) -> Settings:
    """Lay the layers over one another, the strongest first, and hold them against the model."""
    decoded = [Layer(decode(x.data, Settings), x.origins, x.warnings) for x in layers]
    try:
        with _reading(decoded):
            settings = Settings()
    except ValidationError as error:
        raise ConfigurationError(_explain(error, decoded)) from None
    settings._origins = _origins(settings, decoded)
    for name, section in settings.modules.items():
        start = f"modules.{name}."
        section._origins = {k: v for k, v in settings.origins.items() if k.startswith(start)}
    told = [one_line(warning) for layer in layers for warning in layer.warnings]
    settings._warnings = (*told, *switch_warnings(settings.modules))
    return settings


@contextmanager
def _reading(layers: Sequence[Layer]) -> Iterator[None]:
    token = _layers.set(layers)
    try:
        yield
    finally:
        _layers.reset(token)


def _explain(error: ValidationError, layers: Sequence[Layer]) -> str:
    origins: dict[str, str] = {}
    secret: set[str] = set()
    for layer in reversed(layers):
        origins = {**origins, **layer.origins}
        secret.update(secrets_in(layer.data))
    known = with_sections([key for key, _, _ in core_fields()])
    found = findings(
        error, origins=origins, known=[*known, "modules"], model=Settings, secrets=secret
    )
    return "; ".join(str(finding) for finding in found)


def _origins(settings: Settings, layers: Sequence[Layer]) -> dict[str, str]:
    """For each setting in force the strongest layer that has it, else that it is a default."""
    sections = {name: section.model_dump() for name, section in settings.modules.items()}
    keys = [key for key, _, _ in core_fields()]
    keys += [key for key, _ in flatten({"modules": sections}) if key != "modules"]
    return {
        key: next((found for x in layers if (found := x.origin_of(key))), "default") for key in keys
    }


def _settled(settings: Settings) -> Settings:
    """The same settings with a secret key, where one may be made.

    Raises ConfigurationError for what must not go into production.
    """
    settings.refuse_unsafe()
    if settings.app.secret_key.get_secret_value():
        return settings
    if settings.app.environment == "development":
        return _with_key(settings, kept_secret_key(), origin=str(SECRET_KEY_FILE))
    return _with_key(settings, secrets.token_urlsafe(48), origin="made for this process")


def _with_key(settings: Settings, key: str, *, origin: str) -> Settings:
    app = settings.app.model_copy(update={"secret_key": SecretStr(key)})
    keyed = settings.model_copy(update={"app": app})
    keyed._origins = {**settings.origins, "app.secret_key": origin}
    return keyed
