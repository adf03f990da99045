"""The sections of the settings: what may be set, of which type, and what it means.

Each is frozen and refuses unknown keys. The descriptions are shown by `config show` and stand in
.env.example.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from ipaddress import ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from core.checks.codes import parse_silence

VERSIONS = ("v1", "v2")
"""The versions of the API that this Tessera speaks, the oldest first."""

Role = Literal["all", "api", "worker"]
"""What a server does: answer HTTP, deliver events, or both."""

POSTGRESQL = "postgresql+asyncpg"
SQLITE = "sqlite+aiosqlite"


def _no_truth(value: object) -> object:
    """Python takes true for 1; in a settings file that is a slip."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a whole number")
    return value


Whole = Annotated[int, BeforeValidator(_no_truth)]
"""A whole number that is not a truth value."""
MOST_DAYS = 365_000
"""A thousand years: so long ago the calendar still has a day."""


class Section(BaseModel):
    """What all sections have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class AppSettings(Section):
    """``[app]``: the deployment as a whole."""

    name: str = Field("Tessera", min_length=1, description="shown in the docs and at /")
    environment: Literal["development", "test", "production"] = Field(
        "development",
        description="development, test or production; production refuses what is unsafe",
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="signs tokens; 32 characters or more; development makes one in var/secret_key",
    )
    debug: bool = Field(False, description="more talk in the log; refused in production")
    preflight: bool | None = Field(
        None, description="try changed modules in a child process first; unset: but in tests"
    )
    preflight_seconds: float = Field(
        3.0,
        ge=0.5,
        le=60,
        description="how long one step of a module (an import, a hook) may take there, in seconds",
    )
    secrets_dir: str = Field(
        "/run/secrets",
        description="folder with one file a setting, named like its variable; empty: none",
    )


class ServerSettings(Section):
    """``[server]``: the process that answers HTTP."""

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: Whole = Field(8000, ge=0, le=65535, description="port to listen on; 0: any free one")
    role: Role = Field(
        "all", description="what it does: all; api answers HTTP; worker delivers events"
    )
    workers: Whole = Field(1, ge=1, le=256, description="processes; more than one wants PostgreSQL")
    trusted_proxies: tuple[str, ...] = Field(
        (), description="proxies whose X-Forwarded-* headers count: addresses, networks, or *"
    )
    access_log: bool = Field(True, description="one line in the log for each request")
    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "info", description="the least severe line that is logged"
    )
    max_body_bytes: Whole = Field(
        2 * 1024 * 1024, ge=1, description="largest body of a request, in bytes"
    )
    docs: bool | None = Field(
        None, description="serve docs and openapi.json; unset: everywhere but in production"
    )
    metrics: bool | None = Field(
        None, description="serve /metrics for Prometheus; unset: everywhere but in production"
    )
    shutdown_seconds: Whole = Field(
        25, ge=1, description="how long running requests may take to finish at the end, in seconds"
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if value != "*" and not _is_network(value):
                raise ValueError(f'"{value}" is not an IP address, a network (10.0.0.0/8) or *')
        return values


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


class VersionSettings(Section):
    """``[api.versions.v1]``: how long one version of the API lives."""

    deprecated: date | None = Field(None, description="day from which the version is deprecated")
    sunset: date | None = Field(None, description="day after which the version may be gone")

    @model_validator(mode="after")
    def _in_order(self) -> VersionSettings:
        if self.deprecated and self.sunset and self.sunset < self.deprecated:
            raise ValueError(f"sunset {self.sunset} comes before deprecated {self.deprecated}")
        return self


def _all_versions() -> dict[str, VersionSettings]:
    return {version: VersionSettings.model_validate({}) for version in VERSIONS}


def _known_version(name: str) -> str:
    if name not in VERSIONS:
        raise ValueError(f"known are {', '.join(VERSIONS)}")
    return name


class ApiSettings(Section):
    """``[api]``: the versions of the API."""

    versions: Mapping[Annotated[str, AfterValidator(_known_version)], VersionSettings] = Field(
        default_factory=_all_versions, description="per version: deprecated and sunset"
    )

    @field_validator("versions", mode="before")
    @classmethod
    def _complete(cls, value: object) -> object:
        """To say something of one version does not take the other away."""
        return {**_all_versions(), **value} if isinstance(value, Mapping) else value


class DatabaseSettings(Section):
    """``[database]``: where the rows are."""

    url: str = Field(
        f"{SQLITE}:///var/tessera.db",
        repr=False,
        description=f"{SQLITE}:///file, relative to the working folder, or {POSTGRESQL}://…",
    )
    pool_size: Whole = Field(10, ge=1, description="connections a worker keeps to PostgreSQL")
    echo: bool = Field(False, description="log every SQL statement")
    statement_timeout_seconds: float = Field(
        30, gt=0, description="longest that one statement may take on PostgreSQL, in seconds"
    )

    @field_validator("url")
    @classmethod
    def _usable(cls, value: str) -> str:
        scheme, found, rest = value.partition("://")
        if not found or scheme not in (POSTGRESQL, SQLITE):
            raise ValueError(_wrong_driver(scheme if found else ""))
        if scheme == SQLITE and rest and not rest.startswith("/"):
            raise ValueError(
                f"a SQLite file is written {SQLITE}:///relative or {SQLITE}:////absolute"
            )
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            make_url(value)
        except (ArgumentError, ValueError):
            raise ValueError(
                f"is not of the form {scheme}://user:password@host:port/name"
            ) from None
        return value

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite, else it is PostgreSQL."""
        return self.url.startswith(f"{SQLITE}:")


def _wrong_driver(scheme: str) -> str:
    """What to write instead. The scheme is shown only when it is surely one and not a secret."""
    if re.fullmatch(r"postgres(ql)?(\+\w{1,12})?", scheme):
        return f'driver "{scheme}" is not used here; did you mean "{POSTGRESQL}://…"?'
    if re.fullmatch(r"sqlite3?(\+\w{1,12})?", scheme):
        return f'driver "{scheme}" is not used here; did you mean "{SQLITE}:///…"?'
    return f'must begin with "{POSTGRESQL}://" or "{SQLITE}:///"'


class RedisSettings(Section):
    """``[redis]``: shared state between processes."""

    url: str = Field(
        "", repr=False, description="redis://host:port/0; empty: each process keeps its own state"
    )

    @field_validator("url")
    @classmethod
    def _usable(cls, value: str) -> str:
        if value and not re.match(r"(rediss?|unix)://.", value):
            raise ValueError('must begin with "redis://", "rediss://" or "unix://", or be empty')
        try:
            urlsplit(value).port  # noqa: B018  (reading it is the check)
        except ValueError:
            raise ValueError("is not of the form redis://user:password@host:port/0") from None
        return value


class KafkaSettings(Section):
    """``[kafka]``: the broker between machines."""

    bootstrap_servers: str = Field(
        "", description="host:port, several with commas; empty: events travel through the database"
    )
    topic_prefix: str = Field(
        "tessera",
        pattern=r"^[a-z][a-z0-9-]*$",
        max_length=60,
        description="first part of every topic's and consumer group's name",
    )
    partitions: Whole = Field(
        16, ge=1, le=1000, description="partitions of a topic that is made here; others stay"
    )
    replication_factor: Whole = Field(
        -1, ge=-1, le=100, description="copies of such a topic; -1: as the broker has it"
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    ssl_cafile: str = Field(
        "", description="file with the authorities to trust; empty: the system's"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    sasl_username: str = Field("", description="who signs in, where the protocol is SASL")
    sasl_password: SecretStr = Field(SecretStr(""), description="the password for that")
    max_message_bytes: Whole = Field(
        1024 * 1024, ge=1024, description="largest event; the broker's own limit counts besides"
    )
    send_seconds: float = Field(
        10.0,
        gt=0,
        le=300,
        description="how long the broker may take to answer before it counts as away",
    )

    @field_validator("bootstrap_servers")
    @classmethod
    def _addresses(cls, value: str) -> str:
        for address in value.split(",") if value else ():
            found = re.fullmatch(r"\s*(?:[^\s:/@]+|\[[0-9a-fA-F:]+\]):(\d{1,5})\s*", address)
            if found is None or not 1 <= int(found[1]) <= 65535:
                raise ValueError("is not host:port or host:port,host:port, ports from 1 to 65535")
        return value

    @model_validator(mode="after")
    def _signed_in(self) -> KafkaSettings:
        if self.security_protocol.startswith("SASL") and not self.sasl_username:
            raise ValueError(f"{self.security_protocol} needs sasl_username and sasl_password")
        return self


class EventsSettings(Section):
    """``[events]``: how events travel from those who record them to those who subscribe."""

    recording: bool = Field(
        True, description="write events at all; off only to measure what they cost"
    )
    poll_seconds: float = Field(
        1.0, gt=0, le=60, description="how often to look for work that nobody announced, in seconds"
    )
    lease_seconds: float = Field(
        10.0,
        ge=0.5,
        le=300,
        description="after so long without a sign a worker's work is another's",
    )
    handler_seconds: float = Field(
        30.0, gt=0, le=600, description="longest that one handler may take, in seconds"
    )
    tries: Whole = Field(
        5, ge=1, le=100, description="how often a message is tried before it is a dead letter"
    )
    backoff_seconds: float = Field(
        1.0,
        gt=0,
        le=3600,
        description="wait before the second try; doubled before each further one",
    )
    concurrency: Whole = Field(
        4, ge=1, le=64, description="messages of one group at once in a process, on PostgreSQL"
    )
    stall_seconds: float = Field(
        60.0, gt=0, le=86400, description="a group whose due work is older stalls: /readyz says so"
    )
    keep_days: Whole = Field(
        3, ge=0, le=MOST_DAYS, description="how long a delivered event stays, for replays; in days"
    )


class CorsSettings(Section):
    """``[cors]``: which web pages may call the API from a browser."""

    allowed_origins: tuple[str, ...] = Field(
        (), description="origins such as https://shop.example, or *"
    )
    allow_credentials: bool = Field(False, description="let those pages send cookies")

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if value != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#\s]+", value):
                raise ValueError(
                    f'"{value}" is not an origin: scheme://host[:port], nothing after it'
                )
        return values


class CheckSettings(Section):
    """``[check]``: what `tessera check` is not to tell."""

    silence: tuple[str, ...] = Field(
        (), description="codes such as T203, T203:orders or T203:orders:GET /v1/orders*"
    )

    @field_validator("silence")
    @classmethod
    def _known(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            parse_silence(value)
        return values


class ModuleSection(BaseModel):
    """``[modules.orders]``: whether a module is loaded, and its own settings.

    Those are not looked at before the module is loaded: see `core.settings.module_settings`.
    """

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    enabled: bool = Field(False, description="whether the module is loaded")
    required: bool = Field(False, description="whether the start fails when the module does")
    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def origins(self) -> Mapping[str, str]:
        """Where each dotted key of this section was found, as far as that is known."""
        return self._origins

    @property
    def options(self) -> Mapping[str, Any]:
        """The module's own keys, as they were written."""
        return self.model_extra or {}


def fields_of(model: type[BaseModel], *, prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """The settings of a model and its sections: dotted key, description, default."""
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from fields_of(annotation, prefix=f"{prefix}{name}.")
        elif name == "versions" and model is ApiSettings:
            for version in VERSIONS:
                yield from fields_of(VersionSettings, prefix=f"{prefix}{name}.{version}.")
        else:
            default = field.get_default(call_default_factory=True, validated_data={})
            yield f"{prefix}{name}", field.description or "", default
