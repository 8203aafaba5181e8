"""Made-up months in each year's true layout, of any size.

For engineering only. Every column is drawn by itself, from how often its
values occur in real files: no column knows of another, so that nothing that
is found in such rows says anything about patients, hospitals or years.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from parallel_ai.many_machines.bigger_than_memory.compressed import pack
from parallel_ai.many_machines.bigger_than_memory.layouts import (
    MOVED,
    Field,
    layout,
)
from parallel_ai.many_machines.bigger_than_memory.months import Month
from parallel_ai.toolbox import datasets
from parallel_ai.toolbox.downloads import DatasetError

DRAWN = (
    "These rows are **drawn at random**, each column by itself. They have "
    "the true layout and a true size, and nothing else: no number below says "
    "anything about patients, hospitals or years."
)
SLOTS = 1 << 16  # a share is rounded to one of so many
STEPS = 256  # different values of a number
CODES = 300  # different made-up codes of a field, at most
STAYED = np.arange(60)  # days before the month's end, for other dates
BORN = np.arange(0, 80 * 365, 28)  # ... and for births

Choices = tuple[Sequence[str], np.ndarray]  # values, and how often each


def draw(
    month: Month,
    rows: int,
    seed: int = 0,
    names: Collection[str] | None = None,
) -> pa.Table:
    """Draw a month's table of text, in the layout of its year.

    Each column of each month has a stream of random numbers of its own,
    named by year, month and column. So it does not matter who draws what, in
    which order, or which other columns are drawn.

    Parameters
    ----------
    month : Month
    rows : int
    seed : int
    names : collection of str, optional
        Fields wanted; all of the year's by default.

    Returns
    -------
    pyarrow.Table
        Columns are dictionaries of texts: most values occur many times.
    """
    columns = {}
    for number, field in enumerate(layout(month.year)):
        if names is None or field.name in names:
            key = (month.year, month.month, number)
            stream = np.random.SeedSequence(seed, spawn_key=key)
            rng = np.random.default_rng(stream)
            columns[field.name] = _column(field, month, rows, rng)
    return pa.table(columns)


def draw_dbc(address: str, start: int = 0, rows: int = 100) -> Iterator[bytes]:
    """Stand in for DATASUS's server: the file that an address names, drawn."""
    name = address.rpartition("/")[2]
    month = Month(name[2:4], 2000 + int(name[4:6]), int(name[6:8]))
    file = pack(draw(month, rows), layout(month.year), month.year)
    yield file[start:]


@cache
def profile() -> dict[str, Any]:
    """How often values occur in real files; even shares without them."""
    try:
        path = datasets.paths("admissions")["rd_profile.json"]
    except DatasetError:
        return {}
    return json.loads(path.read_text(encoding="utf-8"))


def known(field: Field, year: int) -> dict[str, Any]:
    """Look up what the profile has on a field, in the real month next to it."""
    name = "AC_RDAC0801" if year < 2011 else "AC_RDAC1401"
    month = profile().get("AC_RDAC1801" if year >= MOVED else name)
    if month is None:
        return _assumed(field.name, year)
    return month["fields"].get(field.name, {})


@cache
def choices(field: Field, year: int) -> Choices:
    """Values of a field, and their shares, which add up to 1."""
    said = known(field, year)
    values: Iterable[Any]
    shares: Any = None
    if "top" in said:
        values, shares = said["top"].keys(), list(said["top"].values())
    elif "quantiles" in said:
        at = [float(share) for share in said["quantiles"]]
        grid = (np.arange(STEPS) + 0.5) / STEPS
        values = np.interp(grid, at, list(said["quantiles"].values()))
    elif said.get("blank_share", 1.0) == 1.0:
        values = [""]
    else:
        values = range(min(said["distinct"], CODES))
    texts = [_written(value, field, year) for value in values]
    weights = np.ones(len(texts)) if shares is None else np.array(shares)
    return texts, weights / weights.sum()


def days_before(month: Month, back: np.ndarray) -> list[str]:
    """Dates so many days before the last of a month."""
    after = np.datetime64(f"{month.year}-{month.month:02}", "M") + 1
    dates = after.astype("datetime64[D]") - 1 - back
    return [text.replace("-", "") for text in dates.astype(str)]


def _column(
    field: Field, month: Month, rows: int, rng: np.random.Generator
) -> pa.Array:
    """Draw one column."""
    if field.name in ("N_AIH", "SEQUENCIA"):  # running numbers
        digits = pa.array(range(rows)).cast(pa.string())
        pad = "0" if field.kind == "C" else " "
        return compute.utf8_lpad(digits, field.width_in(month.year), pad)
    values: Sequence[str]
    if field.name in ("ANO_CMPT", "MES_CMPT"):
        number = month.year if field.name[0] == "A" else month.month
        values = [_written(number, field, month.year)]
    elif field.kind == "D":
        values = days_before(month, BORN if field.name == "NASC" else STAYED)
        shares = np.full(len(values), 1 / len(values))
    else:
        values, shares = choices(field, month.year)
    if len(values) == 1:
        chosen = np.zeros(rows, np.int16)
    else:
        # A value's share of the slots is its share of the draws.
        edges = np.rint(np.cumsum(shares) * SLOTS).astype(int)
        owner = np.repeat(
            np.arange(len(values), dtype=np.int16), np.diff(edges, prepend=0)
        )
        chosen = owner[rng.integers(0, SLOTS, rows, np.uint16)]
    return pa.DictionaryArray.from_arrays(chosen, pa.array(values))


def _written(value: Any, field: Field, year: int) -> str:
    """Write a value as DATASUS does: padded to the field's width."""
    width = field.width_in(year)
    if isinstance(value, str):
        return value[:width].ljust(width)
    if field.kind == "N":
        return f"{value:{width}.{field.decimals}f}"
    return f"{value:0{width}}"


def _assumed(name: str, year: int) -> dict[str, Any]:
    """Stand in for the profile where the real files cannot be had."""
    diagnoses = [
        f"{letter}{i}00" for letter in "ABCDEFGHIJKL" for i in range(9)
    ]
    moved = year >= MOVED
    lists: dict[str, Sequence[str]] = {
        "COD_IDADE": ["2", "3", *["4"] * 30],
        "SEXO": ["1", "3"],
        "CAR_INT": ["01", "02"],
        "ESPEC": ["01", "02", "03", "05", "07"],
        "MORTE": ["0"] * 30 + ["1"],
        "DIAG_PRINC": diagnoses,
        "PROC_REA": [f"0{i}01010010" for i in range(1, 6)],
        "DIAGSEC1": [""] * 900 + diagnoses if moved else [""],
        "DIAG_SECUN": ["0000"] if moved else [""] * 900 + diagnoses,
    }
    most = {"IDADE": 99, "DIAS_PERM": 30, "QT_DIARIAS": 30, "VAL_TOT": 2000}
    if name in lists:
        values = lists[name]
        return {"top": {v: values.count(v) / len(values) for v in values}}
    if name in most:
        return {"quantiles": {"0": 0, "1": most[name]}}
    return {}
