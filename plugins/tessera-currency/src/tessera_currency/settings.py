"""The settings of currency."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tessera_currency import rates


class CurrencySettings(BaseModel):
    """``[modules.currency]``"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rates_file: Path = Field(
        description="a .json or .csv file of currencies and rates, from the working folder"
    )

    @field_validator("rates_file")
    @classmethod
    def _holds_rates(cls, path: Path) -> Path:
        """A file that cannot be used is a wrong setting, told with its key and origin."""
        rates.read(path)
        return path
