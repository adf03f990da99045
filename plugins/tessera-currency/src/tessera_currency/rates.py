"""A table of rates: read from a file, asked for the rate between two currencies."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NoReturn

LARGEST_FILE = 1024 * 1024
"""Bytes; all the world's currencies take five thousand."""
LEAST, MOST = Decimal("1e-12"), Decimal("1e12")
_CODE = re.compile(r"[A-Z]{3}")


class Rates:
    """How much of each currency is worth the same. Implements orders' `ExchangeRates`."""

    def __init__(self, table: Mapping[str, Decimal]) -> None:
        self.table = dict(table)

    def between(self, source: str, target: str) -> Decimal | None:
        """What one unit of `source` is worth in `target`; None when the table lacks one of them."""
        if source == target:
            return Decimal(1)
        if source not in self.table or target not in self.table:
            return None
        return self.table[target] / self.table[source]

    async def rate(self, *, source: str, target: str) -> Decimal | None:
        """The same, as orders asks for it."""
        return self.between(source, target)


def read(path: Path) -> Rates:
    """The rates of a .json or .csv file. Raises ValueError that says what is wrong with it."""
    readers = {".json": _from_json, ".csv": _from_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path} is neither a .json nor a .csv file")
    text = _text(path)
    try:
        return Rates(_table(reader(text)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _table(pairs: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    table: dict[str, Decimal] = {}
    for code, rate in pairs:
        if code in table:
            raise ValueError(f"it has {code} twice")
        table[code] = rate
    if not table:
        raise ValueError("it holds no rates")
    return table


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"{path} is larger than {LARGEST_FILE} bytes")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None


def _from_json(text: str) -> Iterator[tuple[str, Decimal]]:
    try:
        # Pairs, so that a code that stands there twice is seen; Decimal, so that no digit is lost.
        pairs = json.loads(
            text,
            object_pairs_hook=list,
            parse_float=Decimal,
            parse_int=Decimal,
            parse_constant=_no_number,
        )
    except (ValueError, InvalidOperation, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error or 'too deep'}") from None
    if not text.lstrip().startswith("{"):
        raise ValueError('it is not an object like {"USD": "1", "EUR": "0.92"}')
    return (_checked(code, rate) for code, rate in pairs)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no rate")


def _from_csv(text: str) -> Iterator[tuple[str, Decimal]]:
    rows = csv.reader(io.StringIO(text))
    first = True
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not (first and _is_heading(cells)):
                if len(cells) != 2:
                    raise ValueError(f"{','.join(cells)!r} is not a currency and a rate")
                yield _checked(*cells)
            first = False
    except (csv.Error, ValueError) as error:
        raise ValueError(f"line {rows.line_num}: {error}") from None


def _is_heading(cells: list[str]) -> bool:
    """Whether this can only be words. A mistyped code or rate is no heading, to be left out."""
    if len(cells) != 2 or _CODE.fullmatch(cells[0]):
        return False
    try:
        Decimal(cells[1])
    except InvalidOperation:
        return True
    return False


def _checked(code: Any, rate: Any) -> tuple[str, Decimal]:
    if not _CODE.fullmatch(code):
        raise ValueError(f"{code!r} is no ISO 4217 code like USD")
    if not isinstance(rate, str | Decimal):
        raise ValueError(f"the rate of {code} is no number")
    try:
        number = Decimal(rate)
    except InvalidOperation:
        raise ValueError(f"the rate of {code} is no number: {rate!r}") from None
    if not (number.is_finite() and LEAST <= number <= MOST):
        raise ValueError(f"the rate of {code} is {rate}, not between {LEAST} and {MOST}")
    return code, number
