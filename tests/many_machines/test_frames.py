"""Frames: every way gives pandas' answer; bytes, tasks and files counted."""

from __future__ import annotations

import gzip
import math
import statistics
from itertools import chain, pairwise
from pathlib import Path

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_ai.many_machines import frames
from parallel_ai.many_machines.frames import (
    asking,
    backends,
    engines,
    practice,
)
from parallel_ai.toolbox import cluster, datasets
from parallel_ai.toolbox.exercises import EXERCISES

LIMIT = 60  # seconds


@pytest.fixture(scope="module")
def team():
    """Two workers for all tests that do not disturb them."""
    with cluster.local(2, memory="800MB") as client:
        yield client


def month(folder: Path, name: str, rows: int, seed: int = 0) -> str:
    """Write a small file in the flights' format."""
    rng = np.random.default_rng(seed)
    delays = rng.normal(10, 30, rows).round()
    delays[rng.random(rows) < 0.1] = np.nan
    tails = np.array(["N14228", "N1", "N24211", "D942DN", None], object)
    frame = pd.DataFrame(
        {
            "year": 2013,
            "month": seed % 12 + 1,
            "day": np.arange(rows) * 28 // max(rows, 1) + 1,
            "dep_time": 517.0,
            "dep_delay": delays,
            "arr_time": 830.0,
            "arr_delay": delays - 5,
            "carrier": rng.choice(["AA", "B6", "UA"], rows),
            "tailnum": rng.choice(tails, rows),
            "flight": rng.integers(1, 9000, rows),
            "origin": rng.choice(["EWR", "JFK"], rows),
            "dest": rng.choice(["HNL", "IAH", "MIA"], rows),
            "air_time": 227.0,
            "distance": rng.integers(100, 5000, rows),
            "hour": 5.0,
            "minute": 17.0,
        }
    )
    path = folder / f"{name}.csv.gz"
    with gzip.open(path, "wt") as file:
        frame.to_csv(file, index=False)
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[str]:
    """Five files of 0 to 400 rows: unequal on purpose."""
    folder = tmp_path_factory.mktemp("months")
    sizes = [300, 1, 0, 400, 57]
    return [month(folder, f"m-{i}", n, i) for i, n in enumerate(sizes)]


@pytest.fixture(scope="module")
def table(files) -> pd.DataFrame:
    """The oracle: all rows, read by pandas."""
    parts = [pd.read_csv(f, dtype=asking.DTYPES) for f in files]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def parquet(team, files, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("parquet") / "flights"
    return frames.as_parquet(frames.csv_frame(files), folder)


# Merging

numbers = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.just(math.nan)), max_size=30
)


@given(st.lists(numbers, max_size=6))
def test_merged_moments_are_those_of_all_values(parts):
    arrays = [np.array(part, float) for part in parts]
    got = frames.merged([frames.Moments.of(part) for part in arrays])
    known = [x for part in parts for x in part if not math.isnan(x)]
    assert got.count == len(known)
    if known:
        assert got.mean == pytest.approx(
            statistics.fmean(known), rel=1e-9, abs=1e-4
        )
    if len(known) > 1:
        assert got.variance == pytest.approx(
            np.var(known, ddof=1), rel=1e-6, abs=1e-4
        )
    else:
        assert math.isnan(got.variance)


@given(numbers, numbers)
def test_merging_does_not_depend_on_the_order(one, other):
    a, b = (frames.Moments.of(np.array(x, float)) for x in (one, other))
    ab, ba = a.merge(b), b.merge(a)
    assert ab.count == ba.count
    assert ab.mean == pytest.approx(ba.mean, rel=1e-9, abs=1e-6)
    assert a.merge(frames.Moments()) == a


def test_a_mean_of_means_is_wrong_for_unequal_parts():
    parts = [np.array([0.0]), np.array([3.0, 3.0, np.nan])]
    assert frames.mean_of_means(parts) == 1.5
    assert frames.merged([frames.Moments.of(p) for p in parts]).mean == 2
    equal = [np.array([1.0, 2]), np.array([3.0, 6])]
    assert frames.mean_of_means(equal) == np.concatenate(equal).mean()


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("fan_in", [2, 3, 9])
def test_the_tree_agrees_with_the_serial_sum(
    team, files, table, count, fan_in
):
    some = files[:count]
    got = frames.moments_tree(team, some, "dep_delay", fan_in)
    serial = frames.moments_serial(some, "dep_delay")
    assert got.count == serial.count
    assert got.mean == pytest.approx(serial.mean)
    if count == len(files):
        assert got.mean == pytest.approx(table["dep_delay"].mean())
        assert got.variance == pytest.approx(table["dep_delay"].var())


def test_a_tree_needs_branches(team, files):
    with pytest.raises(ValueError, match="at least two"):
        frames.moments_tree(team, files, "dep_delay", 1)


def test_what_merges_and_what_does_not():
    parts = [np.array([1.0, 2, 9]), np.array([2.0, np.nan])]
    for statistic in (np.sum, np.max, np.min):
        of_parts, of_all = frames.merges(statistic, parts)
        assert of_parts == of_all
    assert frames.merges(np.median, parts) == (2, 2)
    assert frames.merges(np.mean, parts) == (3, 3.5)


# Counting


def test_reads_are_counted_exactly(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(bytes(1000))
    with frames.counting() as reads:
        with reads.files.open(str(file)) as stream:
            assert len(stream.read(10)) == 10
            stream.seek(500)
            assert stream.readinto(bytearray(20)) == 20
            assert len(stream.read()) == 480
            assert stream.read(1) == b""
        assert (reads.bytes, reads.by_workers) == (510, 0)
        assert reads.opened == {}  # not by another process
        reads.reset()
        assert reads.bytes == 0
        with reads.files.open(str(tmp_path / "new"), "wb") as stream:
            stream.write(b"abc")
        assert reads.bytes == 0
        log = Path(reads.log)
    assert not log.exists()
    assert (tmp_path / "new").read_bytes() == b"abc"


def test_reads_of_workers_are_counted(team, files):
    with frames.counting() as reads:
        frame = frames.csv_frame(files, reads)
        reads.reset()
        assert len(frame) == 758
        assert reads.by_workers == reads.bytes == frames.size_of(files)
        assert reads.opened == {Path(f).name: 1 for f in files}


# Asking


def test_every_format_gives_pandas_answer(
    team, files, table, parquet, tmp_path
):
    right = table["dep_delay"].mean()
    plain = frames.unpacked(files, tmp_path)
    text = gzip.decompress(Path(files[0]).read_bytes())
    assert Path(plain[0]).read_bytes() == text
    assert frames.mean_serial(files) == pytest.approx(right)
    for frame in (
        frames.csv_frame(files),
        frames.csv_frame(plain),
        frames.parquet_frame(parquet),
        frames.parquet_frame(parquet, filesystem="fsspec"),
    ):
        assert frame["dep_delay"].mean().compute() == pytest.approx(right)


def test_partitions_come_in_the_order_of_files(team, table, tmp_path):
    """Even beyond ten, where Dask's own names would not sort."""
    many = dd.from_pandas(table, npartitions=13)
    folder = frames.as_parquet(many, tmp_path / "many")
    names = sorted(p.name for p in Path(folder).iterdir())
    assert names[10] == "part-00010.parquet"
    for filesystem in ("arrow", "fsspec"):
        got = frames.parquet_frame(folder, filesystem=filesystem).compute()
        assert got["flight"].tolist() == table["flight"].tolist()


@pytest.mark.parametrize("filesystem", ["arrow", "fsspec"])
def test_fewer_columns_are_fewer_bytes(
    team, files, table, filesystem, tmp_path
):
    """Of files larger than what a reader fetches of their ends anyway."""
    long = pd.concat([table] * 200, ignore_index=True)
    folder = tmp_path / "long"
    folder.mkdir()
    long.to_parquet(folder / "part-00000.parquet", index=False)
    with frames.counting() as reads:
        frame = frames.parquet_frame(folder, reads, filesystem)
        frame["dep_delay"].count().compute()  # now the footer is known
        one, few = frames.bytes_for(
            lambda f: f["dep_delay"].sum(), frame, reads
        )
        every, many = frames.bytes_for(lambda f: f.count(), frame, reads)
        csv = frames.csv_frame(files, reads)
        same, whole = frames.bytes_for(
            lambda f: f["dep_delay"].sum(), csv, reads
        )
    assert one == 200 * same
    assert every["flight"] == 200 * 758
    assert 0 < few < many / 2
    assert whole == frames.size_of(files)


def test_sizes_of_columns_add_up_to_less_than_the_file(tmp_path, table):
    file = frames.sorted_file(table, "dest", tmp_path / "f.parquet", 100)
    sizes = frames.column_sizes(file)
    assert set(sizes) == set(table.columns)
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    assert sum(sizes.values()) < frames.size_of([file])
    assert frames.size_of(tmp_path) == frames.size_of([file])


def test_a_sorted_file_has_row_groups_that_hardly_overlap(tmp_path, table):
    file = frames.sorted_file(table, "dest", tmp_path / "f.parquet", 100)
    groups = frames.row_groups(file, "dest")
    assert [rows for rows, _, _ in groups] == [100] * 7 + [58]
    for (_, _, high), (_, low, _) in pairwise(groups):
        assert high <= low


def test_formats_are_compared_on_one_cluster(
    team, files, monkeypatch, tmp_path
):
    monkeypatch.setattr(
        datasets, "paths", lambda name: {f: Path(f) for f in files}
    )
    monkeypatch.setattr(asking, "read_bandwidth", lambda: 1e9)
    ways = frames.csv_or_parquet(tmp_path, repeats=1)
    assert list(ways)[:3] == ["CSV, gzip", "CSV", "Parquet"]
    assert ways["limit: 8 B a row / bandwidth"] == 758 * 8 / 1e9
    results = [ways[name].result for name in list(ways)[:3]]
    assert results == pytest.approx([results[0]] * 3)


# The plan


def test_the_plan_is_readable(parquet):
    frame = frames.parquet_frame(parquet)
    question = frame[frame["month"] == 2]["dep_delay"].sum()
    written, made = frames.plan(question), frames.plan(question.simplify())
    for text in (written, made):
        assert str(parquet) not in text
        assert all(len(line) <= 79 for line in text.splitlines())
    assert "Filter" in written
    assert "Filter" not in made
    assert "filters=[[('month'" in made


def test_what_is_pushed_down(parquet):
    frame = frames.parquet_frame(parquet)
    month = frame["month"]

    def pushed(condition):
        [scan] = frames.scans(frame[condition]["dep_delay"].sum())
        assert scan.partitions == 5
        return scan.filters is not None

    assert pushed(month == 2)
    assert pushed((month == 2) | (frame["dest"] == "HNL"))
    assert not pushed(~(month == 2))
    assert not pushed(month.isin([1, 2]))
    assert not pushed(frame["dest"].str.startswith("H"))
    assert not pushed((month == 2) & frame["dest"].str.startswith("H"))
    [scan] = frames.scans(frame["dep_delay"].sum())
    assert (scan.columns, scan.filters) == (("dep_delay",), None)


def test_dasks_default_reader_gets_no_conditions(parquet):
    frame = frames.parquet_frame(parquet, filesystem="fsspec")
    [scan] = frames.scans(frame[frame["month"] == 2]["dep_delay"].sum())
    assert scan.filters is None
    told = frames.parquet_frame(
        parquet, filesystem="fsspec", filters=[("month", "==", 2)]
    )
    [scan] = frames.scans(told["dep_delay"].sum())
    assert scan.partitions < 5


def test_conditions_spare_whole_files(team, parquet, table):
    right = table.loc[table["month"] == 4, "dep_delay"].sum()
    with frames.counting() as reads:
        told = frames.parquet_frame(
            parquet, reads, "fsspec", filters=[("month", "==", 4)]
        )
        got, _ = frames.bytes_for(lambda f: f["dep_delay"].sum(), told, reads)
        assert list(reads.opened) == ["part-00003.parquet"]
    assert got == right


# Moving


def test_summaries_move_little_and_shuffles_move_all(team, parquet):
    frame = frames.parquet_frame(parquet)[["carrier", "tailnum", "dep_delay"]]
    frame = frame.dropna()
    with frames.traffic(team) as few:
        frame.groupby("carrier")["dep_delay"].mean().compute()
    with frames.traffic(team) as all_:
        frame.shuffle("tailnum", npartitions=4).map_partitions(len).compute()
    assert few.shuffled == 0
    assert all_.shuffled > 0
    assert all_.bytes == all_.fetched + all_.shuffled > few.bytes
    assert few.tasks.total() > 0
    assert all_.tasks["shuffle-transfer"] > 0


def test_nothing_moves_in_an_empty_block(team):
    with frames.traffic(team) as seen:
        pass
    assert (seen.bytes, seen.tasks.total()) == (0, 0)


def test_planes_are_counted_once_each(table):
    planes = frames.planes_of(table)
    assert planes["tailnum"].is_monotonic_increasing
    assert planes["flights"].sum() == table["tailnum"].notna().sum()
    assert set(planes["tailnum"]) == {"N14228", "N1", "N24211", "D942DN"}


def test_dates_sort_as_days_do():
    frame = pd.DataFrame({"year": [2013], "month": [7], "day": [4]})
    assert frames.dated(frame)["date"].tolist() == [20130704]


# Arrays


@pytest.mark.parametrize("rows", [1, 3, 7, 100])
@pytest.mark.parametrize("count", [1, 7])
def test_arrays_from_a_file_are_the_same(tmp_path, rows, count):
    images = np.random.default_rng(0).integers(0, 256, (count, 4, 5), np.uint8)
    file = frames.saved(images, tmp_path / "a.npy")
    array = frames.array_from(file, rows)
    assert array.shape == images.shape
    assert array.numblocks[0] == math.ceil(count / rows)
    with dask.config.set(scheduler="synchronous"):
        assert (array.compute() == images).all()
        got = frames.mean_image(array).compute()
    np.testing.assert_allclose(got, frames.mean_image(images))
    assert (frames.block_of(file, 0, 2) == images[:2]).all()


def test_an_empty_file_is_an_empty_array(tmp_path):
    file = frames.saved(np.zeros((0, 2, 2)), tmp_path / "a.npy")
    array = frames.array_from(file, 10)
    assert array.compute(scheduler="synchronous").shape == (0, 2, 2)


def test_a_gram_matrix_in_chunks(team):
    rows = np.random.default_rng(0).normal(size=(50, 6))
    got = frames.gram(da.from_array(rows, chunks=(20, 6))).compute()
    np.testing.assert_allclose(got, rows.T @ rows)


def test_a_mosaic_keeps_its_tiles():
    images = np.arange(5 * 2 * 3).reshape(5, 2, 3)
    picture = frames.mosaic(images, 2)
    assert picture.shape == (4, 6)
    assert (picture[:2, 3:] == images[1]).all()
    assert (picture[2:, :3] == images[2]).all()


@pytest.mark.parametrize("chunk", [20, 33, 80])
def test_seams_are_wrong_without_a_rim(chunk):
    picture = np.random.default_rng(0).integers(0, 256, (80, 80), np.uint8)
    tiles = da.from_array(picture, chunks=chunk)
    right = frames.blurred(picture)
    with dask.config.set(scheduler="synchronous"):
        together = frames.blurred_together(tiles).compute()
        alone = frames.blurred_alone(tiles).compute()
    np.testing.assert_allclose(together, right, atol=1e-3)
    assert np.allclose(alone, right, atol=1e-3) == (chunk == 80)


def test_chunks_of_all_sizes_agree(team, tmp_path):
    images = np.random.default_rng(0).integers(0, 9, (40, 3, 3), np.uint8)
    file = frames.saved(images, tmp_path / "a.npy")
    costs = frames.chunk_costs(file, [7, 40], repeats=1)
    assert list(costs) == ["NumPy", "7 images", "40 images"]
    for timing in costs.values():
        np.testing.assert_allclose(timing.result, images.mean(axis=0))


# Libraries


@pytest.fixture(scope="module")
def data(team, files, tmp_path_factory):
    return frames.replicated(files, tmp_path_factory.mktemp("data"), 3)


def test_the_table_is_there_so_many_times(data, table):
    assert data.rows == 3 * len(table)
    planes = pq.read_table(data.planes).to_pandas()
    assert planes["flights"].sum() == table["tailnum"].notna().sum()


@pytest.mark.parametrize("question", list(frames.QUESTIONS))
def test_all_libraries_agree_with_the_oracle(
    team, data, table, question, monkeypatch
):
    monkeypatch.setattr(engines, "BUSY", 150)
    tails = table["tailnum"].dropna()
    counts = tails.value_counts()
    busy = table[table["tailnum"].map(counts).ge(150)]
    right = {
        "mean": table["dep_delay"].mean(),
        "join, group": busy.groupby("carrier")["dep_delay"].mean().to_dict(),
        "Python function": 3 * sum(map(frames.transponder, tails)),
    }[question]
    assert right
    timings = frames.ask_all(data, question, repeats=1)
    assert list(timings) == ["pandas", "Polars", "DuckDB", "Dask"]
    for name, timing in timings.items():
        assert timing.result == pytest.approx(right), name


@pytest.mark.parametrize(
    ("registration", "number"),
    [
        ("N1", 1),
        ("N1A", 2),
        ("N1AA", 3),
        ("N1AZ", 26),
        ("N1B", 27),
        ("N10", 0x25A),
        ("N12345", 0x61D9),
        ("N99999", 915_399),
        ("N0EGMQ", 0),
        ("D942DN", 0),
        ("N", 0),
        ("N1IO", 0),
        ("N123456", 0),
        ("N1\u0660", 0),  # a digit, but not one of ours
        ("", 0),
    ],
)
def test_transponders(registration, number):
    assert frames.transponder(registration) == number


@given(st.from_regex(engines.REGISTERED, fullmatch=True))
def test_registrations_have_numbers_in_range(registration):
    assert 1 <= frames.transponder(registration) <= 915_399


def test_transponders_keep_the_order_of_registrations():
    """Letters come before digits, and nothing before letters."""
    signs = engines.LETTERS + "0123456789"
    names = [f"N1{a}" for a in signs] + ["N1", "N2", "N1AA", "N1AB", "N1ZZ"]
    ordered = sorted(names, key=lambda n: [signs.index(s) for s in n[2:]])
    ordered.sort(key=lambda n: n[1])
    numbers = [frames.transponder(name) for name in ordered]
    assert numbers == sorted(set(numbers))


def test_unknown_registrations_are_left_out():
    got = frames.addresses(pd.Series(["N1", None, "N1A"]))
    assert got.tolist() == [1, 2]
    assert got.dtype == "int64"


def test_the_bench_compares_all(team, files, monkeypatch):
    monkeypatch.setattr(
        datasets, "paths", lambda name: {f: Path(f) for f in files}
    )
    monkeypatch.setattr(engines, "read_bandwidth", lambda: 1e9)
    monkeypatch.setattr(asking, "read_bandwidth", lambda: 1e9)

    class Nothing:
        __enter__ = __exit__ = lambda *_: None

    for module in (engines, asking):
        monkeypatch.setattr(module.cluster, "local", Nothing)
    libraries = ["pandas", "Polars", "DuckDB", "Dask"]
    mean, *others = (
        frames.compare_libraries(question, copies=1, repeats=1)
        for question in engines.QUESTIONS
    )
    limit = "limit: 8 B a row / bandwidth"
    assert list(mean) == [*libraries, limit]
    assert mean[limit] == 758 * 8 / 1e9
    assert [list(one) for one in others] == [libraries] * 2
    assert len(frames.compare_formats(repeats=1)) == 4


# GPUs: the same body, with cudf where it is installed

BACKENDS = ["pandas"] + ["cudf"] * frames.gpu_frames()


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_setting_makes_the_frames(team, parquet, table, backend):
    got = frames.delay_by_carrier(parquet, backend)
    right = table.groupby("carrier")["dep_delay"].mean().to_dict()
    assert got == pytest.approx(right)
    assert dask.config.get("dataframe.backend", "pandas") == "pandas"


def test_a_missing_backend_says_what_to_install(parquet, monkeypatch):
    monkeypatch.setattr(backends, "gpu_frames", lambda: False)
    with pytest.raises(ModuleNotFoundError, match="dask-cudf"):
        frames.delay_by_carrier(parquet, "cudf")
    with pytest.raises(ValueError, match="pandas or cudf"):
        frames.delay_by_carrier(parquet, "polars")


# Traps


@pytest.mark.parametrize(
    ("way", "times"),
    [(frames.in_a_loop, 3), (frames.together, 1), (frames.persisted, 1)],
)
def test_how_often_files_are_read(team, files, table, way, times):
    with frames.counting() as reads:
        column = frames.csv_frame(files, reads)["dep_delay"]
        reads.reset()
        got = way(column)
        assert reads.opened == {Path(f).name: times for f in files}
    right = table["dep_delay"].agg(["min", "max", "mean"]).tolist()
    assert got == pytest.approx(right)


def test_dask_takes_the_types_of_the_first_rows(team, tmp_path):
    first, other = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_text("x\n1\n2\n")
    other.write_text("x\n3\n\n4.5\n")
    team.run(frames.quiet)
    with pytest.raises(ValueError, match="Mismatched dtypes"):
        dd.read_csv([first, other], blocksize=None)["x"].sum().compute()
    cured = dd.read_csv([first, other], blocksize=None, dtype={"x": float})
    assert cured["x"].sum().compute() == 10.5


def test_invented_rows_are_not_what_a_function_expects(team, parquet, table):
    tails = frames.parquet_frame(parquet)["tailnum"]
    with pytest.raises(ValueError, match="Metadata inference failed"):
        tails.map_partitions(frames.serials)
    got = tails.map_partitions(frames.serials, meta=("tailnum", "int64"))
    assert got.max().compute() == 24211
    assert len(got) == table["tailnum"].notna().sum()


def test_rows_and_columns_agree(table):
    by_row = table.apply(frames.made_up, axis=1)
    assert by_row.equals(frames.made_up_columns(table))


# Exercises


@pytest.mark.parametrize(
    "name", [n for n in EXERCISES if n.startswith(practice.__name__)]
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


def trusts_statistics(groups, low, high):
    return [
        i
        for i, (_, least, most) in enumerate(groups)
        if least is not None and least <= high and most >= low
    ]


def inside_only(groups, low, high):
    return [
        i
        for i, (_, least, most) in enumerate(groups)
        if least is None or (least >= low and most <= high)
    ]


def average_of_quantiles(edges, counts, share):
    return np.mean([practice.quantile_of(edges, [c], share) for c in counts])


def first_part_only(edges, counts, share):
    return practice.quantile_of(edges, counts[:1], share)


def by_row_number(parts, key, count):
    whole = pd.concat(parts)
    return [whole.iloc[i::count] for i in range(count)]


def into_one(parts, key, count):
    whole = pd.concat(parts)
    return [whole] + [whole.iloc[:0]] * (count - 1)


def loses_one(parts, key, count):
    first, *rest = practice.shuffle(parts, key, count)
    return [first.iloc[1:], *rest]


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("prune", trusts_statistics, "expected"),
        ("prune", inside_only, "expected"),
        ("prune", lambda groups, low, high: [], "expected"),
        ("quantile_of", average_of_quantiles, "expected"),
        ("quantile_of", first_part_only, "expected"),
        ("shuffle", by_row_number, "has '.*' in parts"),
        ("shuffle", into_one, "became parts of"),
        ("shuffle", loses_one, "other rows"),
        ("shuffle", lambda parts, key, count: parts[:1], "returned 1 parts"),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError, match=message):
        one.check(wrong)


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 5),
)
def test_a_shuffle_keeps_rows_and_brings_keys_together(keys, count):
    parts = [pd.DataFrame({"k": pd.Series(k, dtype="str")}) for k in keys]
    got = frames.shuffle(parts, "k", count)
    assert len(got) == count
    assert sorted(k for p in got for k in p["k"]) == sorted(chain(*keys))
    homes = [set(part["k"]) for part in got]
    assert sum(map(len, homes)) == len(set.union(*homes))


@given(st.lists(st.integers(0, 99), min_size=1, max_size=50))
def test_a_histogram_bounds_the_median(values):
    edges = np.arange(-1.0, 101.0, 5)
    halves = [values[::2], values[1::2]]
    counts = [
        np.histogram(-np.array(half), bins=-edges[::-1])[0][::-1]
        for half in halves
    ]
    got = frames.quantile_of(edges, counts, 0.5)
    exact = np.quantile(values, 0.5, method="inverted_cdf")
    assert got - 5 <= exact <= got
