"""What an event may hold: nothing that its payload would lose, or could not be read with."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    Secret,
    SecretBytes,
    SecretStr,
    WrapSerializer,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
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


def masked(value: object) -> str:
    """Shows nothing of it."""
    return "***"


Masked = TypeAliasType("Masked", Annotated[str, PlainSerializer(masked)])


class Named(BaseModel):
    """Looks at what it is given, and writes it as it is."""

    name: Annotated[str, AfterValidator(str.strip)]

    @field_validator("name")
    @classmethod
    def _some(cls, name: str) -> str:
        return name or "nobody"


class Hidden(Named):
    """Shows no field."""

    @field_serializer("*")
    def hide(self, value: object) -> str:
        """Whatever it is."""
        return masked(value)


class Wholly(Named):
    """Is written as one text."""

    @model_serializer
    def as_text(self) -> str:
        """Its name."""
        return self.name


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
        (Annotated[str, PlainSerializer(masked)], ..., "value has a serializer, which may write"),
        (
            list[Annotated[str, WrapSerializer(lambda value, write: masked(value))]],
            ...,
            "value has a serializer",
        ),
        (Masked, ..., "value has a serializer"),
        (dict[str, Hidden], ..., "field value.name has a serializer"),
        (Wholly | None, None, "model serializer value.as_text may write something else"),
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


def test_a_serializer_of_the_event_itself_is_refused() -> None:
    """One that masks a field would let nobody read what was recorded, and say nothing."""
    with pytest.raises(TypeError, match=r"Masking: its field id has a serializer, which may"):

        class Masking(Event, type="tower.bell_cast.v1", aggregate="bell", key="id"):
            id: str

            @field_serializer("id")
            def hide(self, value: str) -> str:
                return masked(value)


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
        (Named, Named(name=" ")),
        (JsonValue, {"a": [1, None, {"b": "c"}]}),
        (Nested, [1, [2, [3]]]),
        (dict[Literal["a", "b"], list[date] | None], {"a": [date(2026, 1, 31)], "b": None}),
    ],
)
def test_what_comes_back_as_it_was_is_taken(annotation: Any, value: Any) -> None:
    """Models that validate, or pass by what they compute; JSON; types that speak of themselves."""
    event = made(annotation)
    told = event(id=1, value=value)  # type: ignore[call-arg]
    assert event.model_validate_json(told.model_dump_json()) == told
