"""Admissions bigger than memory: every way gives the answer of plain pandas."""

import ftplib
import json
import os
import signal
import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import joblib
import numpy as np
import pandas as pd
import polars  # noqa: F401 - it sets an environment variable, as does sklearn
import pyarrow as pa
import pytest
import sklearn.ensemble  # noqa: F401
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from parallel_ai.many_machines import bigger_than_memory as bigger
from parallel_ai.many_machines.bigger_than_memory import (
    contenders,
    diagnoses,
    drawing,
    fences,
    practice,
    questions,
    scales,
)
from parallel_ai.toolbox import cluster, datasets
from parallel_ai.toolbox.downloads import DatasetError
from parallel_ai.toolbox.exercises import EXERCISES, starter, verdict

LAYOUTS = {2008: 86, 2011: 93, 2012: 93, 2013: 95, 2014: 113, 2015: 113}
PLENTY = 8_000_000_000
SECONDS = 120

real = pytest.mark.skipif(
    not os.environ.get(datasets.OFFLINE),
    reason=f"{datasets.OFFLINE} names no folder of real data",
)


def texts(table: pa.Table, name: str) -> list:
    return table[name].cast(pa.string()).to_pylist()


def from_address(address: str, start: int, rows: int = 30) -> list[bytes]:
    return list(bigger.draw_dbc(address, start, rows))


@pytest.fixture(scope="module")
def client():
    with cluster.local(2) as client:
        yield client


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Seven months of three layouts, drawn."""
    place = tmp_path_factory.mktemp("admissions")
    wanted = [bigger.Month("SP", year, 1) for year in (2008, 2011, 2018)]
    wanted += bigger.months("SP", 2015, 2015)[:4]
    bigger.load_serial(wanted, partial(bigger.draw, rows=200), place)
    return place


@pytest.fixture(scope="module")
def oracle(folder) -> pd.DataFrame:
    """Counted row by row, in plain Python."""
    rows = pd.read_parquet(folder)
    total: dict[tuple, list[float]] = {}
    for row in rows[questions.ASKED].itertuples(index=False):
        band = -1.0 if np.isnan(row.AGE) else row.AGE // 10
        sums = total.setdefault((row.MONTH, row.CHAPTER, band), [0] * 4)
        for i, value in enumerate((1, row.VAL_TOT, row.DIAS_PERM, row.MORTE)):
            sums[i] += value
    index = pd.MultiIndex.from_tuples(total, names=questions.KEYS)
    return pd.DataFrame(
        list(total.values()), index, columns=list(questions.SUMS)
    ).sort_index()


def assert_same(got: pd.DataFrame, expected: pd.DataFrame) -> None:
    got = got.reset_index().astype(dict.fromkeys(questions.KEYS[1:], float))
    expected = expected.reset_index()
    for frame in (got, expected):
        frame["MONTH"] = frame["MONTH"].astype("datetime64[s]")
    pd.testing.assert_frame_equal(
        got[expected.columns].sort_values(questions.KEYS, ignore_index=True),
        expected.sort_values(questions.KEYS, ignore_index=True),
        check_dtype=False,
    )


# Layouts


@pytest.mark.parametrize("year", LAYOUTS)
def test_every_year_has_its_layout(year):
    names = [field.name for field in bigger.layout(year)]
    assert len(names) == len(set(names)) == LAYOUTS[year]
    assert ("NAT_JUR" in names) == (year >= 2011)
    assert ("VAL_UCI" in names) == (year >= 2013)
    assert ("DIAGSEC1" in names) == (year >= 2014)
    assert [f.name for f in bigger.fields() if f.name in names] == names


def test_two_fields_became_wider():
    wider = [f for f in bigger.fields() if f.width_in(2011) != f.width]
    assert [f.name for f in wider] == ["INSC_PN", "GESTOR_COD"]
    assert [f.width_in(2012) for f in wider] == [12, 5]


@pytest.mark.parametrize("year", LAYOUTS)
def test_one_schema_comes_of_every_layout(year):
    text = bigger.draw(bigger.Month("SP", year, 3), 300)
    table = bigger.harmonise(text)
    assert table.schema == bigger.schema()
    assert table.num_rows == 300
    assert table.num_columns == 116
    had = {field.name for field in bigger.layout(year)}
    for field in bigger.fields():
        missing = field.name not in had and field.name != "DIAGSEC1"
        assert not missing or table[field.name].null_count == 300
    filled = "DIAG_SECUN" if year < 2015 else "DIAGSEC1"
    expected = [v.strip() or None for v in texts(text, filled)]
    assert texts(table, "DIAGSEC1") == expected
    assert set(expected) - {None}
    amounts = [float(value) for value in texts(text, "VAL_TOT")]
    assert table["VAL_TOT"].to_pylist() == amounts
    (month,) = set(table["MONTH"].to_pylist())
    assert (month.year, month.month, month.day) == (year, 3, 1)


def test_fields_of_one_row():
    row = {field.name: "" for field in bigger.layout(2014)} | {
        "ANO_CMPT": "2014",
        "MES_CMPT": "07",
        "COD_IDADE": "3",
        "IDADE": "06",
        "DIAG_PRINC": "C509",
        "DIAG_SECUN": "0000",
        "DIAGSEC1": " I10",
        "NASC": "20140231",  # no such day
        "DT_INTER": "20140702",
        "VAL_TOT": "     12.50",
        "CGC_HOSP": "  ",
    }
    table = bigger.harmonise(pa.table({k: [v] for k, v in row.items()}))
    got = {k: v[0] for k, v in table.to_pydict().items()}
    assert got["AGE"] == pytest.approx(0.5)
    assert (got["CHAPTER"], got["VAL_TOT"]) == (2, 12.5)
    assert got["DIAG_SECUN"] is got["NASC"] is got["CGC_HOSP"] is None
    assert got["DIAGSEC1"] == "I10"
    assert got["DT_INTER"].day == 2


@pytest.mark.parametrize(
    ("unit", "number", "years"),
    [("4", "33", 33), ("5", "04", 104), ("2", "10", 10 / 365.25)],
)
def test_age_has_units(unit, number, years):
    text = pa.table({"COD_IDADE": [unit, "9"], "IDADE": [number, "10"]})
    known, unknown = bigger.harmonise(text, ["AGE"])["AGE"].to_pylist()
    assert known == pytest.approx(years, rel=1e-6)
    assert unknown is None


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows_are_harmonised_too(rows):
    text = bigger.draw(bigger.Month("SP", 2008, 1), rows)
    assert bigger.harmonise(text).num_rows == rows


def test_a_field_that_no_layout_knows_is_an_error():
    with pytest.raises(ValueError, match="NEW_FIELD"):
        bigger.harmonise(pa.table({"NEW_FIELD": ["1"], "SEXO": ["1"]}))


@pytest.mark.parametrize(
    ("code", "number"),
    [
        *(("A000", 1), ("B99", 1), ("C00", 2), ("D489", 2), ("D50", 3)),
        *(("H599", 7), ("H600", 8), ("O800", 15), ("T983", 19)),
        *(("V011", 20), ("Y98", 20), ("Z999", 21), ("U071", 22)),
        *(("", 0), (None, 0), ("0000", 0), ("A", 0), ("AB1", 0)),
    ],
)
def test_chapters_of_icd_10(code, number):
    assert bigger.chapter(code) == number


@real
def test_the_real_years_of_acre_have_the_layouts_that_we_know():
    for name, path in datasets.paths("admissions").items():
        if not Path(name).name.startswith("RDAC") or path.suffix == ".dbc":
            continue
        year = 2000 + int(path.stem[4:6])
        text = parquet.read_table(path)
        layout = bigger.layout(year)
        assert text.column_names == [field.name for field in layout]
        table = bigger.harmonise(text, ["DIAGSEC1", "MONTH", "AGE"])
        share = 1 - table["DIAGSEC1"].null_count / table.num_rows
        assert 0.05 < share < 0.2
        assert table["AGE"].null_count == 0
        used = "DIAG_SECUN" if year < 2015 else "DIAGSEC1"
        filled = [v.strip() for v in text[used].to_pylist()]
        assert texts(table, "DIAGSEC1") == [v or None for v in filled]
        for field in layout:
            widths = {
                len(v) for v in text[field.name].slice(0, 50).to_pylist()
            }
            assert widths <= {0, field.width_in(year)}


# .dbc files


@pytest.mark.parametrize("year", LAYOUTS)
def test_what_is_packed_is_unpacked(tmp_path, year):
    month = bigger.Month("SP", year, 2)
    text = bigger.draw(month, 7)
    path = tmp_path / f"{month.name}.dbc"
    path.write_bytes(bigger.pack(text, bigger.layout(year), year))
    got = bigger.unpack(path)
    assert got.column_names == text.column_names
    for name in got.column_names:
        assert texts(got, name) == texts(text, name)


def test_letters_with_accents_and_deleted_records(tmp_path):
    layout = [f for f in bigger.layout(2014) if f.name in ("AUD_JUST", "SEXO")]
    text = pa.table({"SEXO": ["1", "3", "1"], "AUD_JUST": ["não", "", "é"]})
    packed = bigger.pack(text, layout, 2014)
    path = tmp_path / "x.dbc"
    path.write_bytes(packed)
    assert [v.strip() for v in texts(bigger.unpack(path), "AUD_JUST")] == [
        "não",
        "",
        "é",
    ]
    path.write_bytes(bigger.pack(text.slice(0, 0), layout, 2014))
    assert bigger.unpack(path).num_rows == 0


@real
@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("RDAC0801", 2087, 86),
        ("RDAC1401", 5218, 113),
        ("RDAC2401", 4315, 113),
    ],
)
def test_the_real_dbc_files_are_read_as_dbfread_reads_them(
    tmp_path, name, rows, columns
):
    import datasus_dbc
    from dbfread import DBF

    path = datasets.paths("admissions")[f"rd_ac_dbc/{name}.dbc"]
    got = bigger.unpack(path)
    assert got.shape == (rows, columns)
    datasus_dbc.decompress(str(path), str(tmp_path / "x.dbf"))
    other = DBF(tmp_path / "x.dbf", encoding="latin-1", raw=True)
    for i, record in zip(range(200), other, strict=False):
        ours = {k: v[0] for k, v in got.slice(i, 1).to_pydict().items()}
        assert ours == {k: v.decode("latin-1") for k, v in record.items()}
    same = parquet.read_table(
        datasets.paths("admissions")[f"rd_ac_parquet/{name}.parquet"]
    )
    for column in ("DIAG_PRINC", "VAL_TOT", "DT_INTER", "DIAS_PERM"):
        assert texts(got, column) == texts(same, column)


@pytest.mark.parametrize("keep", [5, 100, 3000, -1])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, keep):
    month = bigger.Month("SP", 2014, 1)
    whole = from_address(month.address, 0)[0]
    path = tmp_path / "RDSP1401.dbc"
    path.write_bytes(whole[:keep])
    with pytest.raises(bigger.MonthError, match="RDSP1401.dbc is truncated"):
        bigger.unpack(path)


def test_a_file_with_too_few_records_is_an_error(tmp_path):
    layout = bigger.layout(2008)
    text = bigger.draw(bigger.Month("SP", 2008, 1), 5)
    packed = bytearray(bigger.pack(text, layout, 2008))
    packed[4:8] = (9).to_bytes(4, "little")
    path = tmp_path / "RDSP0801.dbc"
    path.write_bytes(packed)
    with pytest.raises(bigger.MonthError, match=r"RDSP0801.dbc has .* 9 "):
        bigger.unpack(path)


def packed_month(year=2008, rows=3):
    text = bigger.draw(bigger.Month("SP", year, 1), rows)
    return bigger.pack(text, bigger.layout(year), year)


PACKED = packed_month()
spoilt = st.binary(max_size=100) | st.builds(
    lambda at, new: PACKED[:at] + new + PACKED[at + len(new) :],
    # Mostly in the head, which says how all else is read.
    st.integers(0, 100) | st.integers(0, len(PACKED)),
    st.binary(min_size=1, max_size=3),
)


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=spoilt)
def test_any_file_is_a_table_or_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "RDSP0801.dbc"
    path.write_bytes(content)
    said = "RDSP0801.dbc"
    try:
        bigger.unpack(path)
    except bigger.MonthError as error:
        said = str(error)
    assert "RDSP0801.dbc" in said


@pytest.mark.parametrize(
    ("at", "new", "words"),
    [
        (8, b"\0\0", "is truncated or damaged"),  # no head at all: a panic
        (10, b"\1\0", "fields of"),  # records of one byte
        (32 + 11, b"?", "Unknown field type"),
        (32 + 11, b"M", "its head describes no table"),  # of another file
        (32 + 16, b"\0", "fields of"),
        (64, PACKED[32:43], "two fields have one name"),
    ],
)
def test_a_damaged_head_is_an_error_that_names_the_file(
    tmp_path, at, new, words
):
    path = tmp_path / "RDSP0801.dbc"
    path.write_bytes(PACKED[:at] + new + PACKED[at + len(new) :])
    with pytest.raises(bigger.MonthError, match="RDSP0801.dbc") as caught:
        bigger.unpack(path)
    assert words in str(caught.value)


# Months


def test_months_and_their_addresses():
    eleven = bigger.months("SP", 2008, 2018)
    assert len(set(eleven)) == 132
    assert [m.name for m in (eleven[0], eleven[-1])] == [
        "RDSP0801",
        "RDSP1812",
    ]
    assert eleven[0].address == (
        "ftp://ftp.datasus.gov.br/dissemin/publicos/SIHSUS/200801_/Dados/"
        "RDSP0801.dbc"
    )
    assert bigger.months("SP", 2009, 2008) == []


class MadeUpServer:
    """In the place of ftplib.FTP."""

    log: ClassVar[list[object]] = []
    content = b"0123456789" * 10
    ending = "226 done"

    def __init__(self, host, timeout):
        assert timeout > 0
        self.log.append(host)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.log.append("closed")

    def login(self):
        self.log.append("login")

    def voidcmd(self, command):
        self.log.append(command)

    def transfercmd(self, command, start):
        self.log.append((command, start))
        self.rest = self.content[start:]
        return self

    def recv(self, size):
        block, self.rest = self.rest[:30], self.rest[30:]
        return block

    def voidresp(self):
        if self.ending[0] != "2":
            raise ftplib.error_temp(self.ending)


def test_ftp_asks_from_a_position_on(monkeypatch):
    monkeypatch.setattr(ftplib, "FTP", MadeUpServer)
    MadeUpServer.log.clear()
    got = b"".join(bigger.ftp("ftp://host/folder/x.dbc", 20))
    assert got == MadeUpServer.content[20:]
    assert MadeUpServer.log == [
        "host",
        "login",
        "TYPE I",
        ("RETR /folder/x.dbc", 20),
        "closed",  # the stream
        "closed",  # the connection
    ]


def test_ftp_that_the_server_does_not_confirm_is_no_file(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(ftplib, "FTP", MadeUpServer)
    monkeypatch.setattr(MadeUpServer, "ending", "426 aborted")
    month = bigger.Month("SP", 2008, 1)
    with pytest.raises(bigger.MonthError, match="RDSP0801.*100 bytes"):
        bigger.fetch(month, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["RDSP0801.part"]


@settings(max_examples=25)
@given(st.lists(st.integers(1, 400), max_size=8))
def test_a_line_that_is_cut_anywhere_loses_nothing(tmp_path_factory, cuts):
    folder = tmp_path_factory.mktemp("cuts")
    content = bytes(range(256)) * 5
    asked = []

    def poor(address, start):
        asked.append(start)
        if cuts:
            yield content[start : start + cuts.pop()]
            raise TimeoutError("slow")
        yield content[start:]

    month = bigger.Month("SP", 2008, 1)
    for _ in range(len(cuts)):
        with pytest.raises(bigger.MonthError, match="bytes are kept"):
            bigger.fetch(month, folder, poor)
    path = bigger.fetch(month, folder, poor)
    assert path.read_bytes() == content
    assert all(a < b or b == len(content) for a, b in pairwise(asked))
    assert bigger.fetch(month, folder, poor) == path
    assert len(list(folder.iterdir())) == 1


def test_a_damaged_month_is_removed_and_fetched_again(tmp_path):
    month, good = bigger.Month("SP", 2013, 1), []

    def transport(address, start):
        whole = from_address(address, start)[0]
        yield whole if good else whole[:-5]

    with pytest.raises(bigger.MonthError, match="RDSP1301.dbc"):
        bigger.official(month, tmp_path, transport)
    good.append(True)
    assert bigger.official(month, tmp_path, transport).num_rows == 30


def test_a_months_file_is_there_entirely_or_not_at_all(tmp_path, monkeypatch):
    month = bigger.Month("SP", 2008, 1)
    read = partial(bigger.draw, rows=3)

    def fails(table, draft, **options):
        Path(draft).write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(parquet, "write_table", fails)
        with pytest.raises(KeyboardInterrupt):
            bigger.convert(month, read, tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    path = bigger.convert(month, read, tmp_path)
    assert path == bigger.place(month, tmp_path)
    assert path.parent.name == "year=2008"
    assert pd.read_parquet(path).shape == (3, 116)

    def never(month):
        raise AssertionError

    assert bigger.convert(month, never, tmp_path) == path


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_cluster_loads_what_the_loop_loads(client, tmp_path, count):
    wanted = bigger.months("SP", 2014, 2014)[:count]
    read = partial(bigger.official, folder=tmp_path / "dbc")
    read = partial(read, transport=from_address)
    one = bigger.load_serial(wanted, read, tmp_path / "one")
    many = bigger.load_dask(client, wanted, read, tmp_path / "many")
    assert len(one) == len(many) == count
    for a, b in zip(one, many, strict=True):
        assert a.name == b.name
        assert parquet.read_table(a).equals(parquet.read_table(b))


def only_march(month):
    if month.month != 3:
        raise bigger.MonthError(f"{month.name} is not to be had")
    return bigger.draw(month, 2)


def test_months_that_fail_are_named_and_the_others_done(client, tmp_path):
    wanted = bigger.months("SP", 2008, 2008)[:4]
    for name, load in (
        ("serial", bigger.load_serial),
        ("dask", partial(bigger.load_dask, client)),
    ):
        with pytest.raises(ExceptionGroup, match="3 of 4 months") as caught:
            load(wanted, only_march, tmp_path / name)
        names = sorted(str(e)[:8] for e in caught.value.exceptions)
        assert names == ["RDSP0801", "RDSP0802", "RDSP0804"]
        files = (tmp_path / name).rglob("*.parquet")
        assert [path.name for path in files] == ["RDSP0803.parquet"]


KILLED = """
import os, signal, sys
from pathlib import Path
from parallel_ai.many_machines import bigger_than_memory as bigger

def read(month):
    if month.month == 3 and sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    print(month.month, flush=True)
    return bigger.draw(month, 5)

months = bigger.months("SP", 2008, 2008)[:5]
bigger.load_serial(months, read, Path(sys.argv[1]))
"""


def test_a_killed_run_goes_on(tmp_path):
    for what, code, made in (
        ("kill", -signal.SIGKILL, ["1", "2"]),
        ("go on", 0, ["3", "4", "5"]),
    ):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path), what],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert done.stdout.split() == made
    assert len(pd.read_parquet(tmp_path)) == 25


# Drawing


def test_a_draw_is_the_same_whoever_draws(client, tmp_path):
    wanted = bigger.months("SP", 2014, 2014)[:3]
    expected = [bigger.draw(month, 11) for month in wanted]
    futures = client.map(partial(bigger.draw, rows=11), wanted[::-1])
    assert client.gather(futures)[::-1] == expected
    paths = bigger.draw_months(client, wanted, 11, tmp_path)
    assert sum(len(pd.read_parquet(path)) for path in paths) == 33


def test_a_column_does_not_depend_on_the_others():
    month = bigger.Month("SP", 2018, 5)
    whole = bigger.draw(month, 50)
    part = bigger.draw(month, 50, names=["VAL_TOT", "SEXO"])
    assert set(part.column_names) == {"VAL_TOT", "SEXO"}
    for name in part.column_names:
        assert part[name] == whole[name]


def test_months_seeds_and_columns_differ():
    month = bigger.Month("SP", 2018, 5)
    one = bigger.draw(month, 200)
    other = bigger.draw(bigger.Month("SP", 2018, 6), 200)
    again = bigger.draw(month, 200, seed=1)
    assert texts(one, "IDADE") != texts(other, "IDADE")
    assert texts(one, "IDADE") != texts(again, "IDADE")
    assert len(set(texts(one, "N_AIH"))) == 200


@real
def test_shares_are_those_of_the_profile():
    month = bigger.Month("SP", 2018, 5)
    drawn = texts(bigger.draw(month, 40_000, names=["SEXO"]), "SEXO")
    (sex,) = (f for f in bigger.fields() if f.name == "SEXO")
    share = bigger.known(sex, 2018)["top"]["3"]
    assert drawn.count("3") / 40_000 == pytest.approx(share, abs=0.02)
    values, shares = bigger.choices(sex, 2018)
    assert sum(shares) == pytest.approx(1)
    assert set(values) == set(drawn)


def test_without_real_files_shares_are_assumed(monkeypatch):
    def absent(name):
        raise DatasetError("no network")

    monkeypatch.setattr(drawing.datasets, "paths", absent)
    bigger.profile.cache_clear()
    bigger.choices.cache_clear()
    try:
        assert bigger.profile() == {}
        for year in LAYOUTS:
            text = bigger.draw(bigger.Month("SP", year, 1), 500)
            table = bigger.harmonise(text)
            assert table["DIAGSEC1"].null_count < 500
            assert len(set(table["AGE"].to_pylist())) > 20
    finally:
        bigger.profile.cache_clear()
        bigger.choices.cache_clear()


def test_days_before_the_last_of_a_month():
    month = bigger.Month("SP", 2012, 2)
    got = bigger.days_before(month, np.array([0, 29]))
    assert got == ["20120229", "20120131"]


# Questions


def test_the_sums_are_those_of_a_loop(folder, oracle):
    assert_same(bigger.sums(pd.read_parquet(folder)), oracle)


@settings(max_examples=6)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=4, unique=True))
def test_pieces_add_up_however_they_are_cut(folder, cuts):
    frame = pd.read_parquet(folder, columns=questions.ASKED)
    edges = sorted({0, len(frame), *(200 * cut + 50 for cut in cuts)})
    parts = [bigger.sums(frame[a:b]) for a, b in pairwise(edges)]
    assert_same(bigger.add(parts), bigger.sums(frame))


@pytest.mark.parametrize("by", questions.KEYS)
def test_rates_divide_sums(folder, by):
    frame = pd.read_parquet(folder).assign(
        BAND=lambda f: (f["AGE"] // 10).fillna(-1)
    )
    got = bigger.rates(bigger.sums(frame), by)
    each = frame.groupby(by)
    assert got["cost"].to_numpy() == pytest.approx(
        each["VAL_TOT"].mean().to_numpy()
    )
    assert got["admissions"].tolist() == each.size().tolist()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_a_median_can_be_read_from_counts(days):
    frame = pd.DataFrame({"DIAS_PERM": days})
    counts = bigger.stays(frame)
    assert bigger.median_stay(counts) == np.median(days)


# Ways to ask


@pytest.mark.parametrize(
    "ask",
    [
        bigger.ask_pandas,
        bigger.ask_for_columns,
        bigger.ask_by_month,
        bigger.ask_polars,
        bigger.ask_duckdb,
    ],
)
def test_ways_in_this_process_agree(folder, oracle, ask):
    assert_same(ask(folder), oracle)


def test_dask_agrees(client, folder, oracle):
    assert_same(bigger.ask_dask(folder), oracle)


def test_a_worker_that_holds_agrees(folder, oracle):
    with cluster.local(1, memory="1GB"):
        answer, more = bigger.ask_held(folder)
    assert_same(answer, oracle)
    assert set(more) == {*contenders.MEASURES, "held", "limit"}
    assert more["limit"] == 1_000_000_000
    assert max(size for _, size in more["process"]) > 10_000_000


def test_contenders_answer_in_a_child(folder, oracle):
    outcome = bigger.contend("pandas, by month", PLENTY, [folder, folder])
    assert outcome.problem == ""
    assert outcome.finished
    assert len(outcome.said) == 2
    for line in outcome.said:
        assert line["groups"] == len(oracle)
        assert line["cost"] == pytest.approx(oracle["cost"].sum())
    assert 10_000_000 < outcome.peak < PLENTY


def test_who_limits_itself_gets_a_wider_fence(monkeypatch):
    limits = []
    monkeypatch.setattr(
        contenders, "run_within", lambda limit, *rest: limits.append(limit)
    )
    for way in ("pandas", "pandas, addresses"):
        bigger.contend(way, 100, [Path("folder")])
    assert limits == [100, 200]


def test_main_limits_addresses_after_the_first_read(folder, monkeypatch):
    limits = []
    monkeypatch.setattr(contenders, "limit_addresses", limits.append)
    way = "pandas, its columns, addresses"
    assert contenders.main(way, 123, [folder]) == 0
    assert limits == [123]


def test_all_ways_are_known():
    assert len(contenders.WAYS) == 7
    assert list(contenders.WAYS)[:6] == scales.STREAMING


def test_main_prints_a_line_for_each_folder(folder, capsys):
    assert contenders.main("DuckDB", PLENTY, [folder, folder]) == 0
    lines = [json.loads(x) for x in capsys.readouterr().out.splitlines()]
    assert [line["admissions"] for line in lines] == [1400, 1400]


def test_main_catches_a_lack_of_memory(folder, monkeypatch, capsys):
    def greedy(folder):
        raise MemoryError("no more")

    monkeypatch.setitem(contenders.WAYS, "pandas", greedy)
    assert contenders.main("pandas", PLENTY, [folder]) == contenders.FAILED
    assert "MemoryError: no more" in capsys.readouterr().err


# Fences


GREEDY = "parallel_ai_test_greedy"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Run a program's text through a fence, as a module."""

    def run(text, limit=PLENTY, **options):
        (tmp_path / f"{GREEDY}.py").write_text(text)
        path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        settings = {"PYTHONPATH": path}
        return bigger.run_within(limit, [GREEDY], settings=settings, **options)

    return run


def test_a_program_within_its_limit(program):
    outcome = program(
        "import json, os\nprint('no json')\n"
        "print(json.dumps({'x': 1}), flush=True)\n"
        "print(json.dumps({'temporary': os.environ['TMPDIR']}))\n"
    )
    assert outcome.finished
    first, second = outcome.said
    assert first["x"] == 1
    assert not Path(second["temporary"]).exists()


HUNGRY = """
import time
kept = []
while True:
    kept.append(bytearray(b'x' * 5_000_000))
    time.sleep(0.01)
"""


def test_a_program_above_its_limit_is_killed(program):
    outcome = program(HUNGRY, limit=100_000_000, seconds=SECONDS)
    assert not outcome.finished
    assert outcome.problem in (
        "killed: above the limit",
        "killed by the system",
    )
    assert outcome.peak > 60_000_000


def test_its_children_count_and_die_with_it(program):
    text = (
        "import subprocess, sys\n"
        f"code = {HUNGRY!r}\n"
        "child = subprocess.Popen([sys.executable, '-c', code])\n"
        "child.wait()\n"
    )
    outcome = program(text, limit=100_000_000, seconds=SECONDS)
    assert outcome.problem  # and conftest finds no process left


def test_a_program_that_hangs_is_killed(program):
    outcome = program("import time; time.sleep(1000)", seconds=0.5)
    assert outcome.problem == "killed: it still ran after 0.5 s"


def test_the_last_line_of_an_error_is_told(program):
    assert program("raise ValueError('why')").problem == "ValueError: why"
    assert program("import os; os._exit(3)").problem == "ended with 3"
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert program(killed).problem == "killed by the system"


def test_addresses_can_be_limited(program):
    outcome = program(
        "import json\n"
        "from parallel_ai.many_machines.bigger_than_memory import (\n"
        "    limit_addresses)\n"
        "limit_addresses(300_000_000)\n"
        "try:\n"
        "    bytearray(2_000_000_000)\n"
        "except MemoryError as error:\n"
        "    print(json.dumps({'error': 'MemoryError'}))\n"
    )
    assert outcome.finished, outcome.problem
    assert [line["error"] for line in outcome.said] == ["MemoryError"]


@pytest.mark.parametrize("works", [True, False])
def test_a_control_group_is_used_where_it_can_be_had(
    tmp_path, monkeypatch, program, works
):
    log = tmp_path / "log"
    fake = tmp_path / "bin" / "systemd-run"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {log}\n'
        + (
            'while [ "${1#-}" != "$1" ]; do shift; done\nexec "$@"\n'
            if works
            else "exit 1\n"
        )
    )
    fake.chmod(0o755)
    monkeypatch.setenv(
        "PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}"
    )
    fences.groups.cache_clear()
    try:
        assert bigger.groups() is works
        assert program("print('{}')", limit=123_000_000).finished
    finally:
        fences.groups.cache_clear()
    assert ("-pMemoryMax=123000000" in log.read_text()) is works


def test_no_control_group_without_systemd(monkeypatch):
    monkeypatch.setenv("PATH", "")
    fences.groups.cache_clear()
    try:
        assert not bigger.groups()
    finally:
        fences.groups.cache_clear()


# Scales


def test_rows_for_a_size():
    each = bigger.bytes_a_row()
    frame = bigger.draw(bigger.Month("SP", 2018, 2), 100)
    assert 500 < each < 3000
    assert len(frame) == 100
    rows = bigger.rows_for(1e6 * each, 10)
    assert 100_000 <= rows <= 101_000


def test_the_first_months_are_linked(folder, tmp_path):
    part = bigger.first(folder, 0.5, tmp_path / "half")
    names = sorted(p.name for p in part.rglob("*.parquet"))
    whole = sorted(folder.rglob("*.parquet"))
    assert names == sorted(p.name for p in whole[:4])
    none = bigger.first(folder, 0.0, tmp_path / "none")
    assert len(list(none.rglob("*.parquet"))) == 1


def test_growth_stops_where_a_way_fails(monkeypatch):
    calls = []

    def contend(way, limit, folders):
        calls.append((way, [f.name for f in folders]))
        said = [{"seconds": 1.0, "peak": 5} for _ in folders]
        bad = way == "pandas" and folders[0].name == "b"
        return bigger.Outcome(not bad, 1, 9, [] if bad else said, "x" * bad)

    monkeypatch.setattr(scales, "contend", contend)
    found = bigger.grow(
        ["pandas", "Dask"], [Path("a"), Path("b"), Path("c")], 1
    )
    assert calls == [
        ("pandas", ["a"]),
        ("pandas", ["b"]),
        ("Dask", ["a", "a", "b", "c"]),  # the first one warms up
    ]
    assert [p.problem for p in found["pandas"]] == ["", "x"]
    assert found["pandas"][1] == bigger.Point(float("inf"), 9, "x")
    assert len(found["Dask"]) == 3


def test_comparisons_leave_out_who_fails(monkeypatch, folder, capsys):
    def contend(way, limit, folders):
        said = [{"seconds": 1.0, "peak": 5} for _ in folders]
        bad = way == "pandas"
        return bigger.Outcome(not bad, 1, 9, said, "killed" * bad)

    monkeypatch.setattr(scales, "contend", contend)
    monkeypatch.setattr(scales, "_bench_data", lambda times: (None, folder))
    assert list(scales.COMPARISONS) == [
        "the admissions question in memory",
        "the admissions question at 4 times the memory",
        "growth at 1, 4, 16 times the data",
    ]
    for compare in (bigger.in_memory, bigger.beyond_memory):
        compared = compare()
        assert next(iter(compared)) == "Dask"
        assert "pandas" not in compared
        assert len(compared) == 5
        assert "pandas: peak 9 B of" in capsys.readouterr().out
    grown = bigger.growing()
    assert [timing.median for timing in grown.values()] == [1, 1 / 4, 1 / 16]
    assert list(grown) == [
        f"Dask, {times} times the data, for each" for times in (1, 4, 16)
    ]


# Models


def subjects(rows: int = 400) -> pd.DataFrame:
    """Admissions that are drawn: only their form matters."""
    month = bigger.Month("SP", 2018, 1)
    table = bigger.harmonise(bigger.draw(month, rows), diagnoses.WANTED)
    frame = table.to_pandas()
    return frame.astype(
        dict.fromkeys(frame.select_dtypes("category").columns, "str")
    )


def test_labels_say_whether_chapters_differ():
    frame = pd.DataFrame(
        {"DIAG_PRINC": ["S720", "I10", "I10", "I10", "C509"]}
        | {name: [None] * 5 for name in diagnoses.SECONDARY},
        dtype="str",
    )
    frame["DIAGSEC1"] = ["W199", "I500", "I500", None, "D480"]
    frame["DIAGSEC2"] = [None, None, "E119", None, None]
    assert bigger.several(frame).index.tolist() == [0, 1, 2, 4]
    assert bigger.mixed(frame).tolist() == [1, 0, 1, 0, 0]


def test_features_name_no_diagnosis_and_nobody():
    table = bigger.features(subjects())
    assert table.notna().all().all()
    assert set(table.dtypes) == {np.dtype(np.float32)}
    words = ("DIAG", "CID", "CNES", "AIH", "CEP", "NASC", "MUNIC", "CGC")
    assert not [c for c in table if any(word in c for word in words)]
    leaking = bigger.features(subjects(), leak=True)
    assert [c for c in leaking if c.startswith("DIAG_PRINC")]


def test_rows_are_divided_70_to_30_with_both_classes():
    X = pd.DataFrame({"row": range(100)})
    y = np.array([0] * 10 + [1] * 90)
    X_train, X_test, y_train, y_test = bigger.divide(X, y)
    assert (len(X_train), len(X_test)) == (70, 30)
    assert (y_train.mean(), y_test.mean()) == (0.9, 0.9)
    assert not set(X_train["row"]) & set(X_test["row"])
    more, labels = bigger.resample(X_train, y_train)
    assert labels.mean() == 0.5
    assert set(more["row"]) == set(X_train["row"])
    assert len(more) == 2 * 63


def task(number: int) -> int:
    return number + 1


def test_tasks_that_reach_the_cluster_are_counted(client):
    with bigger.on_cluster(client) as sent:
        got = joblib.Parallel(batch_size=1)(
            joblib.delayed(task)(i) for i in range(5)
        )
    assert got == [1, 2, 3, 4, 5]
    assert len(sent) == 5
    with bigger.on_cluster(client) as sent:
        task(1)
    assert sent == []


def made_up_parts():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 4)), columns=list("abcd"))
    y = (X["a"] + 0.3 * rng.normal(size=300) > -0.8).astype(int).to_numpy()
    return bigger.divide(X, y)


SENDS = {
    "logistic regression": False,
    "tree of depth 2": False,
    "AdaBoost": False,
    "gradient boosting": False,
    "bagging, 10 trees": True,
    "forest, 2 trees": True,
    "forest, 100 trees": True,
}


def test_every_candidate_is_looked_at():
    assert list(bigger.candidates()) == list(SENDS)


@pytest.mark.parametrize(("name", "sends"), SENDS.items())
def test_which_models_send_tasks(client, name, sends):
    model = bigger.candidates()[name]
    parts = made_up_parts()
    got = bigger.judge(model, parts, client)
    assert (got.tasks > 0) is sends
    assert got.confusion.sum() == len(parts[3])
    assert got.accuracy == np.trace(got.confusion) / len(parts[3])
    assert got.recall == got.confusion[0, 0] / (parts[3] == 0).sum()
    assert 0.5 < got.auc <= 1
    if name == "tree of depth 2":
        named = bigger.importances(got.model, list("abcd"))
        assert named.index[0] == "a"
        assert named.sum() == pytest.approx(1)


def test_folds_are_tasks_for_every_model(client):
    models = {
        name: bigger.candidates()[name]
        for name in ("logistic regression", "tree of depth 2")
    }
    scores, sent = bigger.cross_validate(models, made_up_parts(), client, 4)
    assert set(scores) == set(models)
    assert all(0.5 < score <= 1 for score in scores.values())
    assert 2 <= sent <= 8


# Exercises


@pytest.mark.parametrize(
    "solution",
    [bigger.mean_of_pieces, bigger.finish, bigger.disk_reads],
)
def test_solutions_pass_and_starters_do_not(solution):
    assert verdict(solution, bigger) == ""
    name = f"{practice.__name__}.{solution.__name__}"
    assert EXERCISES[name].solution is solution
    room: dict = {}
    exec(starter(solution), room)
    assert "starter" in verdict(room[solution.__name__], bigger)


def mean_of_means(pieces):
    means = [mean for _, mean in pieces]
    return sum(means) / len(means) if means else float("nan")


def forgets_empty(pieces):
    pieces = list(pieces)
    rows = sum(n for n, _ in pieces)
    return sum(n * m for n, m in pieces) / rows if rows else float("nan")


def makes_all(names, folder, make):
    for name in names:
        (folder / name).write_bytes(make(name))
    return list(names)


def half_written(names, folder, make):
    done = [name for name in names if not (folder / name).exists()]
    for name in done:
        content = make(name)
        (folder / name).write_bytes(content)
    return done


def first_in_first_out(order, sizes, room):
    kept, seen, reads = [], set(), 0
    for name in order:
        if name not in kept:
            reads += name in seen
            kept.append(name)
            seen.add(name)
            while sum(sizes[k] for k in kept) > room:
                kept.pop(0)
    return reads


@pytest.mark.parametrize(
    ("name", "wrong", "hint"),
    [
        ("mean_of_pieces", mean_of_means, "expected 3.0"),
        ("mean_of_pieces", forgets_empty, "returned nan, expected 3.0"),
        ("finish", makes_all, "expected ['b', 'c']"),
        ("finish", half_written, "half written"),
        ("disk_reads", first_in_first_out, "expected"),
        ("disk_reads", lambda order, sizes, room: 0, "expected 3"),
    ],
)
def test_wrong_answers_are_told_why(name, wrong, hint):
    with pytest.raises(AssertionError) as caught:
        EXERCISES[f"{practice.__name__}.{name}"].check(wrong)
    assert hint in str(caught.value)
