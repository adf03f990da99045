"""What an event may hold: nothing that its payload would lose, or could not be read with."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    Secret,
    SecretBytes,
    SecretStr,
    computed_field,
)
from typing_extensions import TypeAliasType

from core.plugin import Event

Nested = TypeAliasType("Nested", "list[Nested] | int")  # type: ignore[misc]


class Plain(BaseModel):
    """Reads again what it writes, for what it does not know it passes by."""

    width: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        """Made of the width."""
        return self.width**2


class Strict(Plain):
    """Refuses what it does not know, its own area included."""

    model_config = ConfigDict(extra="forbid")


class Keyed(BaseModel):
    """Holds a secret, and others of its kind."""

    key: SecretStr
    others: list[Keyed] = []


class Loud(BaseModel):
    """Has other names outside."""

    model_config = ConfigDict(alias_generator=str.upper)

    name: str


def made(annotation: Any, default: Any = ...) -> type[Event]:
    """An event class with a field `value` of that type."""
    body = {
        "__annotations__": {"id": int, "value": annotation},
        "__module__": __name__,
        "value": default,
    }
    keywords = {"type": "tower.bell_cast.v1", "aggregate": "bell", "key": "id"}
    found: type[Event] = type(Event)("Cast", (Event,), body, **keywords)
    return found


@pytest.mark.parametrize(
    ("annotation", "default", "said"),
    [
        (SecretStr, ..., "value is a SecretStr, of which only asterisks"),
        (SecretBytes | None, None, "value is a SecretBytes"),
        (Secret[date], ..., "value is a Secret"),
        (dict[str, tuple[Annotated[SecretStr, Field(min_length=1)], ...]], ..., "value is a Secre"),
        (str, Field(exclude=True), "value has exclude"),
        (str, Field("", exclude_if=lambda it: not it), "value has exclude"),
        (str, Field(alias="from"), "value has an alias"),
        (str, Field(validation_alias=AliasChoices("a", "b")), "value has an alias"),
        (str, Field(serialization_alias="to"), "value has an alias"),
        (Loud, ..., "value.name has an alias"),
        (list[Keyed] | None, None, "value.key is a SecretStr"),
        (Strict, ..., "computed field value.area is written, and refused where it is read"),
    ],
)
def test_what_would_be_lost_is_refused_where_the_class_is_made(
    annotation: Any, default: Any, said: str
) -> None:
    """A field whose value does not come back, of the event or of a model in it, is named."""
    with pytest.raises(TypeError, match="^Cast: its ") as caught:
        made(annotation, default)
    assert said in str(caught.value)


def test_a_computed_field_of_the_event_itself_is_refused() -> None:
    """An event takes no field that it does not know, so what is computed could not be read."""
    with pytest.raises(TypeError, match="computed field double is written, and refused"):

        class Doubled(Event, type="tower.bell_cast.v1", aggregate="bell", key="id"):
            id: int

            @computed_field  # type: ignore[prop-decorator]
            @property
            def double(self) -> int:
                return 2 * self.id


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Plain, Plain(width=3)),
        (JsonValue, {"a": [1, None, {"b": "c"}]}),
        (Nested, [1, [2, [3]]]),
        (dict[Literal["a", "b"], list[date] | None], {"a": [date(2026, 1, 31)], "b": None}),
    ],
)
def test_what_comes_back_as_it_was_is_taken(annotation: Any, value: Any) -> None:
    """Models that pass by what they compute, JSON, types that speak of themselves."""
    event = made(annotation)
    told = event(id=1, value=value)  # type: ignore[call-arg]
    assert event.model_validate_json(told.model_dump_json()) == told
