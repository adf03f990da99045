"""Files of rates: what can be read, and what is said of what cannot."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tessera_currency import rates


def read(folder: Path, text: str | bytes, name: str = "rates.json") -> rates.Rates:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return rates.read(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rates.json", '{"USD": "1", "EUR": "0.92", "SEK": 10.410}'),
        ("rates.json", '\ufeff{"USD": 1, "EUR": 0.92, "SEK": 10.410}'),
        ("rates.csv", "currency,rate\nUSD,1\nEUR,0.92\nSEK,10.410\n"),
        ("rates.csv", " \n ISO code , worth\n , \nUSD,1\nEUR,0.92\nSEK,10.410\n"),
        ("RATES.CSV", "USD, 1\r\nEUR, 0.92\r\n\r\nSEK,10.410"),
    ],
)
def test_both_forms_are_read(tmp_path: Path, name: str, text: str) -> None:
    """JSON and CSV give the same table; no number goes through a binary fraction."""
    table = read(tmp_path, text, name)
    assert table.table == {"USD": Decimal(1), "EUR": Decimal("0.92"), "SEK": Decimal("10.41")}


def test_rates_between(tmp_path: Path) -> None:
    """Any two currencies of the table have a rate, whichever of them has the 1."""
    table = read(tmp_path, '{"USD": "2", "EUR": "1", "CHF": "0.5"}')
    assert table.between("USD", "EUR") == Decimal("0.5")
    assert table.between("CHF", "USD") == Decimal(4)
    assert table.between("USD", "GBP") is None
    assert table.between("GBP", "USD") is None
    assert table.between("GBP", "GBP") == 1


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("rates.txt", "{}", "neither a .json nor a .csv"),
        ("rates.json", "", "not JSON"),
        ("rates.json", "{", "not JSON"),
        ("rates.json", "[" * 100_000, "not JSON"),
        ("rates.json", "[]", "not an object"),
        ("rates.json", '["USD"]', "not an object"),
        ("rates.json", "{}", "holds no rates"),
        ("rates.csv", "currency,rate\n", "holds no rates"),
        ("rates.json", '{"USD": 1, "USD": 2}', "USD twice"),
        ("rates.csv", "USD,1\nUSD,1\n", "USD twice"),
        ("rates.json", '{"usd": 1}', "no ISO 4217 code"),
        ("rates.json", '{"DOLLAR": 1}', "no ISO 4217 code"),
        ("rates.json", '{"USD": null}', "no number"),
        ("rates.json", '{"USD": true}', "no number"),
        ("rates.json", '{"USD": {"to": 1}}', "no number"),
        ("rates.json", '{"USD": "one"}', "no number"),
        ("rates.json", '{"USD": NaN}', "NaN is no rate"),
        ("rates.json", '{"USD": "NaN"}', "not between"),
        ("rates.json", '{"USD": 0}', "not between"),
        ("rates.json", '{"USD": -1}', "not between"),
        ("rates.json", '{"USD": 1e400}', "not between"),
        ("rates.csv", "USD,1,2\n", "not a currency and a rate"),
        ("rates.csv", "USD\n", "not a currency and a rate"),
        ("rates.csv", "usd,1\nEUR,0.92\n", "rates.csv: line 1: 'usd' is no ISO 4217 code"),
        ("rates.csv", "USD,one\nEUR,0.92\n", "rates.csv: line 1: the rate of USD is no number"),
        ("rates.csv", "currency,rate\ncode,rate\n", "rates.csv: line 2: 'code' is no ISO"),
        ("rates.csv", "currency,rate\n\nUSD,1\nEUR,0.92,\n", "rates.csv: line 4: 'EUR,0.92,'"),
        ("rates.csv", f"USD,1\nEUR,{'9' * 140_000}\n", "rates.csv: line 2: field larger than"),
        ("rates.json", b"\xff\xfe", "not UTF-8"),
        ("rates.json", " " * (1024 * 1024 + 1), "larger than"),
    ],
)
def test_what_is_no_table_is_said(tmp_path: Path, name: str, text: str | bytes, told: str) -> None:
    """A file that cannot be used says why."""
    with pytest.raises(ValueError, match=told):
        read(tmp_path, text, name)


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there, or is a folder, says so."""
    with pytest.raises(ValueError, match="No such file"):
        rates.read(tmp_path / "rates.json")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match="cannot be read"):
        rates.read(tmp_path / "folder.csv")
