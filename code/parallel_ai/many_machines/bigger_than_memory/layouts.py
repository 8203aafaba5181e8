"""The layouts of eleven years and more, and the one that we make of them.

A month comes as a table of text in the layout of its year. `harmonise` makes
of any of them the same columns with the same types.
"""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

WIDER = 2012  # the year from which two fields are wider
MOVED = 2015  # ... and from which the secondary diagnosis is in DIAGSEC1
# Age has a unit: days, months, years, and years beyond a hundred.
UNITS = {"2": 1 / 365.25, "3": 1 / 12, "4": 1.0, "5": 1.0}
# First code of each chapter of ICD-10, in order of the codes.
# fmt: off
CHAPTERS = (
    "A00", "C00", "D50", "E00", "F00", "G00", "H00", "H60", "I00", "J00",
    "K00", "L00", "M00", "N00", "O00", "P00", "Q00", "R00", "S00", "V01",
    "Z00", "U00",
)
# fmt: on
# What we add, computed from the official fields of the same row.
DERIVED = {
    "MONTH": pa.timestamp("ms"),  # its first day
    "AGE": pa.float32(),  # years
    "CHAPTER": pa.int8(),  # of the main diagnosis, 1 to 22; 0: no such code
}


Convert = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class Field:
    """One field of the official files.

    Attributes
    ----------
    name : str
    kind : str
        "C" for codes and other text, "N" for numbers, "D" for dates.
    width, width_to_2011 : int
        Characters in a record.
    decimals : int
        Of a number.
    since : int
        Year of the first file of ours that has it.
    """

    name: str
    kind: str
    width: int
    width_to_2011: int
    decimals: int
    since: int

    def width_in(self, year: int) -> int:
        """Characters of this field in a file of that year."""
        return self.width if year >= WIDER else self.width_to_2011

    @property
    def type(self) -> pa.DataType:
        """Arrow's type for it in our schema."""
        return {
            "C": pa.dictionary(pa.int32(), pa.string()),
            "N": pa.float64(),
            "D": pa.timestamp("ms"),
        }[self.kind]


@cache
def fields() -> tuple[Field, ...]:
    """All 113 official fields, in their order."""
    table = Path(__file__).with_name("fields.csv")
    with table.open(encoding="ascii", newline="") as lines:
        return tuple(
            Field(name, kind, *map(int, numbers))
            for name, kind, *numbers in list(csv.reader(lines))[1:]
        )


def layout(year: int) -> tuple[Field, ...]:
    """Fields of a file of that year, in their order."""
    return tuple(field for field in fields() if field.since <= year)


def schema(columns: Iterable[str] | None = None) -> pa.Schema:
    """Describe the one layout: official fields, then ours, or some of them."""
    types = {field.name: field.type for field in fields()} | DERIVED
    return pa.schema(
        [(name, types[name]) for name in columns or types],
    )


def harmonise(
    text: pa.Table, columns: Sequence[str] | None = None
) -> pa.Table:
    """Bring a month of any layout into the one schema.

    Blank becomes null, numbers become numbers, dates dates. A field that the
    year did not know is null throughout. Up to 2014 the secondary diagnosis
    stands in ``DIAG_SECUN``; from then on in ``DIAGSEC1``, and there we put
    it for all years.

    Parameters
    ----------
    text : pyarrow.Table
        All columns text, as they come out of a file.
    columns : sequence of str, optional
        Of `schema`; all by default.

    Returns
    -------
    pyarrow.Table
        With `schema(columns)`.

    Raises
    ------
    ValueError
        A field that no known layout has: the layout has drifted again.
    """
    known = {field.name: field for field in fields()}
    if unknown := sorted(set(text.column_names) - known.keys()):
        raise ValueError(f"fields of no known layout: {', '.join(unknown)}")
    wanted = schema(columns)
    made = {}
    for name, kind in zip(wanted.names, wanted.types, strict=True):
        if name in DERIVED:
            made[name] = _derived(name, text).cast(kind)
        elif name == "DIAGSEC1":
            second, first = (
                _filled(text, name) for name in ("DIAGSEC1", "DIAG_SECUN")
            )
            made[name] = compute.coalesce(second, first).dictionary_encode()
        else:
            made[name] = _typed(text, known[name])
    return pa.table(made, schema=wanted)


def chapter(code: str | None) -> int:
    """Chapter of ICD-10 to which a code belongs, 1 to 22; 0 if to none.

    >>> chapter("O800"), chapter("D509"), chapter("D100"), chapter("")
    (15, 3, 2, 0)
    """
    head = (code or "")[:3]
    if not (len(head) == 3 and head[0].isalpha() and head[1:].isdigit()):
        return 0
    if head[0] == "U":  # the last chapter, though not the last letter
        return 22
    return int(np.searchsorted(CHAPTERS[:-1], head, side="right"))


def _derived(name: str, text: pa.Table) -> pa.Array:
    """Compute one of `DERIVED`."""
    if name == "MONTH":
        parts = (_filled(text, part) for part in ("ANO_CMPT", "MES_CMPT"))
        return _date(compute.binary_join_element_wise(*parts, "01", ""))
    if name == "CHAPTER":
        found = _filled(text, "DIAG_PRINC", _looked_up(chapter, pa.int8()))
        return compute.fill_null(found, 0)
    number = _filled(text, "IDADE", _number)
    factor = _looked_up(UNITS.get, pa.float64())
    above = _looked_up({"5": 100.0}.get, pa.float64())
    return compute.add(
        compute.multiply(number, _filled(text, "COD_IDADE", factor)),
        compute.fill_null(_filled(text, "COD_IDADE", above), 0.0),
    )


def _typed(text: pa.Table, field: Field) -> pa.Array:
    """One official field with its type."""
    if field.kind != "C":
        ways = {"N": _number, "D": _date}
        return _filled(text, field.name, ways[field.kind])
    values, indices = _values(text, field.name)
    if values.null_count:  # they belong to the rows
        gone = compute.is_null(values).take(indices)
        indices = compute.if_else(gone, None, indices)
        values = compute.fill_null(values, "")
    return pa.DictionaryArray.from_arrays(indices.cast(pa.int32()), values)


def _number(values: pa.Array) -> pa.Array:
    return values.cast(pa.float64())


def _date(values: pa.Array) -> pa.Array:
    """Read dates such as 20080131; null where there is none of that name."""
    dates = compute.strptime(values, "%Y%m%d", "ms", error_is_null=True)
    # It takes the 31st of February for the 3rd of March.
    real = compute.equal(compute.strftime(dates, "%Y%m%d"), values)
    return compute.if_else(real, dates, None)


def _looked_up(look_up: Callable[[str], Any], kind: pa.DataType) -> Convert:
    """Make a conversion of a function of one value."""
    return lambda values: pa.array(
        [value and look_up(value) for value in values.to_pylist()], kind
    )


def _filled(
    text: pa.Table, name: str, convert: Convert = lambda values: values
) -> pa.Array:
    """Convert a field; null where it is blank, or missing altogether.

    Different values are converted once each. Codes and even amounts of
    money repeat, so that most of the work serves many rows.
    """
    values, indices = _values(text, name)
    return convert(values).take(indices)


def _values(text: pa.Table, name: str) -> tuple[pa.Array, pa.Array]:
    """Different values of a field, null for blank; and which each row has."""
    if name not in text.column_names:
        return pa.nulls(1, pa.string()), pa.array(np.zeros(len(text), int))
    # In diagnoses, zeros say that there is none.
    blanks = ["", "0000"] if name.startswith(("DIAG", "CID_")) else [""]
    column = text[name].combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    values = compute.utf8_trim_whitespace(column.dictionary.cast(pa.string()))
    blank = compute.is_in(values, value_set=pa.array(blanks))
    return compute.if_else(blank, None, values), column.indices
