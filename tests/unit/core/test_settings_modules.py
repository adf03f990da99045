"""A module's section, held against the model that the module declares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Secret,
    SecretStr,
    field_validator,
    model_validator,
)

from core.errors import ConfigurationError, ModuleFailure
from core.settings import Settings, module_settings
from core.settings_modules import section_note
from tests.support.deployments import Deployment


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    return Deployment(tmp_path, monkeypatch)


class Limits(BaseModel):
    per_minute: int = 60


class OrdersSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    max_lines: int = Field(100, ge=1)
    currencies: tuple[str, ...] = ("USD",)
    sizes: list[int] = []
    note: str | None = None
    pepper: SecretStr = SecretStr("")
    limits: Limits = Limits()

    @field_validator("currencies")
    @classmethod
    def _three_letters(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if len(value) != 3:
                raise ValueError(f"{value} is no currency")
        return values


def _read(settings: Settings, model: type[BaseModel] = OrdersSettings) -> Any:
    return module_settings(settings.modules["orders"], model, module="orders")


def _failure(settings: Settings, model: type[BaseModel] = OrdersSettings) -> ModuleFailure:
    with pytest.raises(ModuleFailure) as caught:
        _read(settings, model)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_module_gets_its_own_model(here: Deployment) -> None:
    """Values from the file keep their types; text from the environment takes the model's."""
    settings = here.load(
        "[modules.orders]\nenabled = true\nmax_lines = 5\n[modules.orders.limits]\nper_minute = 1",
        env={
            "TESSERA_MODULES__ORDERS__CURRENCIES": "EUR, USD",
            "TESSERA_MODULES__ORDERS__SIZES": "[1, 2]",
            "TESSERA_MODULES__ORDERS__LIMITS__PER_MINUTE": "7",
            "TESSERA_MODULES__ORDERS__NOTE": "",
        },
    )
    read = _read(settings)
    assert read == OrdersSettings(
        max_lines=5, currencies=("EUR", "USD"), sizes=[1, 2], limits=Limits(per_minute=7)
    )


def test_a_module_that_is_not_in_the_way_is_not_looked_at(here: Deployment) -> None:
    """A section of a module that is disabled or not installed is kept as it is."""
    settings = here.load("[modules.ghost]\nanything = [1, {a = 2}]\n[modules.other]\nx = 1")
    assert settings.modules["ghost"].options == {"anything": [1, {"a": 2}]}
    assert settings.warnings == ()


def test_a_module_may_call_its_keys_as_it_likes(here: Deployment) -> None:
    """Names that the section itself uses in Python are no special keys."""
    settings = here.load("[modules.x]\noptions = 1\norigins = 2\nmodel_config = 3\ncopy = 4")
    expected = {"options": 1, "origins": 2, "model_config": 3, "copy": 4}
    assert settings.modules["x"].options == expected


REFUSALS = [
    (
        "max_line = 1",
        {},
        'settings.toml: unknown key "modules.orders.max_line"',
        'did you mean "modules.orders.max_lines"?',
    ),
    (
        "enabld = true",
        {},
        'settings.toml: unknown key "modules.orders.enabld"',
        'did you mean "modules.orders.enabled"?',
    ),
    (
        "limits.per_minut = 1",
        {},
        'settings.toml: unknown key "modules.orders.limits.per_minut"',
        'did you mean "modules.orders.limits.per_minute"?',
    ),
    (
        'max_lines = "x"',
        {},
        'settings.toml: modules.orders.max_lines: "x" is not a whole number',
        "mend modules.orders.max_lines",
    ),
    (
        "",
        {"MAX_LINES": "x"},
        'environment TESSERA_MODULES__ORDERS__MAX_LINES: "x" is not a whole number',
        "mend TESSERA_MODULES__ORDERS__MAX_LINES",
    ),
    (
        "",
        {"MAX_LINE": "1"},
        'environment TESSERA_MODULES__ORDERS__MAX_LINE: unknown key "modules.orders.max_line"',
        "did you mean TESSERA_MODULES__ORDERS__MAX_LINES?",
    ),
    (
        "max_lines = 0",
        {},
        "settings.toml: modules.orders.max_lines must be greater than or equal to 1",
        "mend modules.orders.max_lines",
    ),
    (
        'currencies = ["euro"]',
        {},
        "settings.toml: modules.orders.currencies: euro is no currency",
        "mend modules.orders.currencies",
    ),
]


class Keyed(BaseModel):
    api_key: str
    tries: int = 3

    @model_validator(mode="after")
    def _enough(self) -> Keyed:
        if self.tries < len(self.api_key):
            raise ValueError("fewer tries than letters")
        return self


@pytest.mark.parametrize(
    ("toml", "reason", "remedy"),
    [
        (
            "",
            "modules.orders.api_key is missing",
            "set modules.orders.api_key, or TESSERA_MODULES__ORDERS__API_KEY in the environment",
        ),
        (
            'tries = "x"',
            'modules.orders.api_key is missing; settings.toml: modules.orders.tries: "x" is not a '
            "whole number",
            "set modules.orders.api_key, or TESSERA_MODULES__ORDERS__API_KEY in the environment; "
            "mend modules.orders.tries",
        ),
        (
            'api_key = "abcd"',
            "settings.toml: modules.orders: fewer tries than letters",
            "mend [modules.orders]",
        ),
    ],
)
def test_a_remedy_names_the_key(here: Deployment, toml: str, reason: str, remedy: str) -> None:
    """Whoever reads only the remedy knows what to write where."""
    failure = _failure(here.load(f"[modules.orders]\nenabled = true\n{toml}"), Keyed)
    assert failure.reason.endswith(reason)
    assert failure.remedy == remedy


@pytest.mark.parametrize(
    ("toml", "env", "place"),
    [
        ("", {"SECURITY_PROTOCOL": "SASL_SSL"}, "environment TESSERA_KAFKA__SECURITY_PROTOCOL"),
        ("", {"BOOTSTRAP_SERVERS": "h:1", "SECURITY_PROTOCOL": "SASL_SSL"}, "environment"),
        (
            'bootstrap_servers = "h:1"',
            {"SECURITY_PROTOCOL": "SASL_SSL"},
            "settings.toml and environment",
        ),
        ('security_protocol = "SASL_SSL"', {}, "settings.toml"),
    ],
)
def test_a_section_that_does_not_fit_together_says_so_wherever_it_was_set(
    here: Deployment, toml: str, env: dict[str, str], place: str
) -> None:
    """What is wrong with a whole section is said in its own words, with each place it came from."""
    with pytest.raises(ConfigurationError) as caught:
        here.load(f"[kafka]\n{toml}", env={f"TESSERA_KAFKA__{k}": v for k, v in env.items()})
    needs = "kafka: SASL_SSL needs sasl_username and sasl_password"
    assert str(caught.value) == f"{place}: {needs}"


def test_a_module_is_told_what_does_not_fit_together_in_the_environment(here: Deployment) -> None:
    """A validator of a module's whole model keeps its text where variables were what it judged."""
    variable = "TESSERA_MODULES__ORDERS__API_KEY"
    failure = _failure(here.load("", env={variable: "abcd"}), Keyed)
    reason = f"environment {variable}: modules.orders: fewer tries than letters"
    assert failure.reason == reason
    assert failure.remedy == "mend [modules.orders]"


@pytest.mark.parametrize(("toml", "env", "reason", "remedy"), REFUSALS)
def test_a_wrong_key_fails_the_module_with_a_remedy(
    here: Deployment, toml: str, env: dict[str, str], reason: str, remedy: str
) -> None:
    """The reason names the place and the key, the remedy the nearest right one."""
    settings = here.load(
        f"[modules.orders]\nenabled = true\n{toml}",
        env={f"TESSERA_MODULES__ORDERS__{name}": value for name, value in env.items()},
    )
    failure = _failure(settings)
    assert (failure.reason, failure.remedy) == (reason, remedy)


def test_unknown_keys_are_refused_even_where_the_model_would_ignore_them() -> None:
    """An author who forgets extra="forbid" gets it all the same."""
    settings = Settings.for_tests(modules={"orders": {"enabled": True, "per_minut": 1}})
    failure = _failure(settings, Limits)
    assert failure.reason == 'test: unknown key "modules.orders.per_minut"'
    assert failure.remedy == 'did you mean "modules.orders.per_minute"?'


def test_a_failure_shows_no_secret(here: Deployment) -> None:
    """A validator that quotes what it was given does not bring a secret into the reason."""

    class Careless(BaseModel):
        pepper: SecretStr
        api_key: str

        @field_validator("pepper", "api_key")
        @classmethod
        def _quotes(cls, value: Any) -> Any:
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            raise ValueError(f"{plain} is weak")

    env = {
        "TESSERA_MODULES__ORDERS__PEPPER": "hunter2hunter2",
        "TESSERA_MODULES__ORDERS__API_KEY": "correct-horse",
    }
    failure = _failure(here.load(env=env), Careless)
    assert "hunter2" not in str(failure)
    assert "correct-horse" not in str(failure)
    assert "TESSERA_MODULES__ORDERS__PEPPER: ******** is weak" in failure.reason


def test_a_secret_of_the_wrong_type_is_not_quoted(here: Deployment) -> None:
    """A value under a secret's name or type is not shown as wrong, however short it is."""

    class Safe(BaseModel):
        api_token: int
        pin: Secret[int]

    env = {"TESSERA_MODULES__ORDERS__API_TOKEN": "ab1", "TESSERA_MODULES__ORDERS__PIN": "ab2"}
    assert _failure(here.load(env=env), Safe).reason == (
        "environment TESSERA_MODULES__ORDERS__API_TOKEN: is not a whole number; "
        "environment TESSERA_MODULES__ORDERS__PIN: is not a whole number"
    )


def test_a_validator_that_breaks_fails_its_module_only() -> None:
    """What a stranger's validator raises by mistake is that module's failure."""

    class Broken(BaseModel):
        size: int = 1

        @field_validator("size")
        @classmethod
        def _divides(cls, value: int) -> int:
            return 1 // (value - value)

    settings = Settings.for_tests(modules={"orders": {"size": 3}})
    assert _failure(settings, Broken).reason == "checking [modules.orders] raised ZeroDivisionError"


def test_a_misspelt_switch_is_reported(here: Deployment) -> None:
    """`enabeld = true` leaves the module off; a warning says why."""
    settings = here.load("[modules.orders]\nenabeld = true")
    assert settings.warnings == (
        'settings.toml: unknown key "modules.orders.enabeld"; did you mean '
        '"modules.orders.enabled"? The module is not enabled',
    )


def test_a_section_that_nobody_reads_is_named() -> None:
    """A section is kept when its module is disabled or not installed; a near id is offered."""
    modules = Settings.for_tests(
        modules={"orders": {"enabled": True}, "auth": {}, "odrers": {"enabled": True}, "zzz": {}}
    ).modules
    notes = {name: section_note(name, x, ["auth", "orders"]) for name, x in modules.items()}
    assert notes == {
        "orders": "",
        "auth": "kept: module disabled",
        "odrers": 'kept: module not installed; did you mean "orders"?',
        "zzz": "kept: module not installed",
    }
