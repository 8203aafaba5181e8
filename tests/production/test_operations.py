import contextlib
import math
import os
import sys
from multiprocessing import forkserver

import cloudpickle
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from parallel_ai.many_machines.failures import die_once
from parallel_ai.production import native, operations, serving
from parallel_ai.production.operations import (
    fleet,
    practice,
    quotas,
    rates,
    scoring,
    store,
)
from parallel_ai.toolbox import cluster, machine, roofs
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.stopwatch import Timing

SECONDS = 60
LAYOUTS = scoring.LAYOUTS


@pytest.fixture(scope="module", autouse=True)
def server_with_the_imports():
    """End the server of other tests, and start one that has our imports."""
    forkserver._forkserver._stop()
    operations.preload()
    yield
    forkserver._forkserver._stop()


@pytest.fixture(scope="module", autouse=True)
def files(tmp_path_factory):
    """Versions learnt from few pictures, and a cache of compiled code."""
    threads = torch.get_num_threads()
    folder = tmp_path_factory.mktemp("models")
    compiled = "TORCHINDUCTOR_CACHE_DIR"  # set by the first optimizer
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(compiled, os.environ.get(compiled, str(folder)))
        torch.set_num_threads(1)
        paths = store.make_versions(folder, 300)
        torch.set_num_threads(threads)
    trees = folder / "trees.txt"
    x, y = serving.garments()
    serving.train_trees(x[:500], y[:500], trees)
    return paths | {"trees": trees}


@pytest.fixture(scope="module")
def pictures():
    return serving.garments()[0]


@pytest.fixture
def shelf(tmp_path, files):
    """A store with three versions, the first one current."""
    x, y = serving.garments()
    versions = {
        name: store.publish(tmp_path / "store", files[name], x[:50], y[:50])
        for name in ("first", "second", "spoilt")
    }
    store.point(tmp_path / "store", versions["first"])
    return tmp_path / "store", versions


@pytest.fixture(scope="module")
def client():
    with cluster.local(2) as one:
        yield one


def scores(folder):
    table = pa.concat_tables(
        pq.read_table(path) for path in sorted(folder.glob("*.parquet"))
    )
    return {name: table[name].to_numpy() for name in table.column_names}


def is_right(folder, path, pixels, rows):
    """Are the outputs the model's own predictions, each row once?"""
    found = scores(folder)
    assert sorted(found["id"]) == list(range(rows))
    order = np.argsort(found["id"])
    right = serving.load_model("m", path).predict(
        pixels[np.arange(rows) % len(pixels)]
    )
    assert (found["label"][order] == right.argmax(1)).all()
    assert np.allclose(found["score"][order], right.max(1), atol=1e-5)


# Scoring


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=10)  # 784 columns take their time
@given(rows=st.integers(0, 12), size=st.integers(1, 12))
def test_a_table_comes_back_as_it_was(layout, rows, size, tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    pixels = np.arange(7 * 784).astype("u1").reshape(7, 784)
    parts = scoring.write_table(folder, pixels, rows, size, layout)
    assert len(parts) == math.ceil(rows / size)
    tables = [pq.read_table(part) for part in parts]
    got = [scoring.matrix_of(table) for table in tables]
    ids = [i for table in tables for i in table["id"].to_pylist()]
    assert ids == list(range(rows))
    if rows:
        assert (np.concatenate(got) == pixels[np.array(ids) % 7]).all()
        assert all(one.flags.c_contiguous for one in got)


def test_a_part_of_a_partition_is_read_from_its_place(pictures):
    table = scoring.as_table(np.arange(20), pictures[:20], "bytes")
    got = scoring.matrix_of(table.slice(5, 3))
    assert (got == pictures[5:8]).all()


@pytest.mark.parametrize("way", ["native", "library"])
@pytest.mark.parametrize("name", ["first", "trees", "network"])
def test_ways_give_the_models_own_answers(name, way, files, pictures):
    scorer = operations.Scorer.of(files[name], way)
    own = serving.load_model("m", files[name]).predict(pictures[:500])
    assert np.allclose(scorer(pictures[:500]), own, atol=1e-5)


def test_without_a_compiler_numpy_does_it(files, pictures, monkeypatch):
    def no_compiler(*_):
        raise native.MissingToolError("none")

    monkeypatch.setattr(scoring, "NativeLinear", no_compiler)
    model = serving.load_model("m", files["first"])
    predict, how = scoring.native_way(model, files["first"])
    assert "no compiler" in how
    assert np.allclose(
        predict(pictures[:9]), model.predict(pictures[:9]), atol=1e-6
    )


def test_a_file_that_changes_under_the_job_is_refused(files, tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(files["first"].read_bytes())
    scorer = operations.Scorer.of(path)
    path.write_bytes(files["second"].read_bytes())
    with pytest.raises(ValueError, match="the job began with"):
        scorer(np.zeros((1, 784), "u1"))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("rows", "size"), [(0, 5), (3, 5), (23, 5)])
def test_serial_and_threads_are_right(
    layout, rows, size, files, pictures, tmp_path
):
    parts = scoring.write_table(
        tmp_path / "t", pictures[:7], rows, size, layout
    )
    scorer = operations.Scorer.of(files["first"])
    for way, job in (
        ("serial", lambda out: scoring.score_serial(parts, out, scorer)),
        ("threads", lambda out: scoring.score_threads(parts, out, scorer, 3)),
    ):
        out = tmp_path / way
        assert list(job(out)) == [part.name for part in parts]
        assert list(job(out)) == []  # all of it is done
        if rows:
            is_right(out, files["first"], pictures[:7], rows)


def test_dask_is_right_and_does_only_what_is_missing(
    client, files, pictures, tmp_path
):
    parts = scoring.write_table(tmp_path / "t", pictures, 500, 60)
    scorer = operations.Scorer.of(files["first"])
    out = tmp_path / "out"
    list(scoring.score_serial(parts[:3], out, scorer))
    got = list(scoring.score_on_dask(parts, out, scorer, client))
    assert sorted(got) == [part.name for part in parts[3:]]
    is_right(out, files["first"], pictures, 500)


class Dying:
    """A scorer whose worker dies in one of its calls, the first time."""

    def __init__(self, scorer, marker):
        self.scorer, self.marker, self.version = scorer, marker, scorer.version

    def __call__(self, pixels):
        die_once(self.marker)
        return self.scorer(pixels)


def test_a_worker_killed_in_a_task_loses_and_doubles_nothing(
    files, pictures, tmp_path
):
    parts = scoring.write_table(tmp_path / "t", pictures, 400, 50)
    scorer = operations.Scorer.of(files["first"])
    dying = Dying(scorer, tmp_path / "died")
    out, here = tmp_path / "out", sys.modules[__name__]
    cloudpickle.register_pickle_by_value(here)
    try:
        with cluster.local(2) as client:
            list(scoring.score_on_dask(parts, out, dying, client))
    finally:
        cloudpickle.unregister_pickle_by_value(here)
    assert (tmp_path / "died").exists()
    is_right(out, files["first"], pictures, 400)


def test_the_job_killed_and_resumed(files, pictures, tmp_path):
    table, out = tmp_path / "table", tmp_path / "out"
    parts = scoring.write_table(table, pictures, 3_000, 100)
    found = operations.killed_and_resumed(table, out, files["first"], 2)
    assert 2 <= found.before < len(parts)
    assert found.before + found.after == len(parts)
    assert found.audit == operations.Audit(3_000, 0, 0)
    is_right(out, files["first"], pictures, 3_000)


def test_halves_cut_files_and_other_versions_are_done_again(
    files, pictures, tmp_path
):
    parts = scoring.write_table(tmp_path / "t", pictures, 60, 10)
    first, second = (
        operations.Scorer.of(files[n]) for n in ("first", "second")
    )
    out = tmp_path / "out"
    list(scoring.score_serial(parts, out, first))
    half = out / ".part-00000.parquet.abc"
    half.write_bytes(b"half")
    cut = out / parts[1].name
    cut.write_bytes(cut.read_bytes()[:-20])
    scoring.score_part(second, parts[2], out)
    (out / parts[3].name).unlink()
    os.utime(parts[4])  # another input
    assert scoring.todo(parts, out, first.version) == parts[1:5]
    assert not half.exists()
    list(scoring.score_serial(parts, out, first))
    is_right(out, files["first"], pictures, 60)
    assert len(scoring.todo(parts, out, second.version)) == 6


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "part-00000.parquet"
    scoring.save_table(pa.table({"id": [1]}), path)

    def full(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        scoring.save_table(pa.table({"id": [2]}), path)
    assert pq.read_table(path)["id"].to_pylist() == [1]
    assert list(tmp_path.glob("*.parquet")) == [path]


def test_the_job_that_appends_doubles(files, pictures, tmp_path):
    parts = scoring.write_table(tmp_path / "t", pictures, 50, 10)
    scorer = operations.Scorer.of(files["first"])
    found = operations.appended(parts, tmp_path / "out", scorer, 2)
    assert found == operations.Audit(70, 0, 20)


@settings(max_examples=30)
@given(wanted=st.lists(st.integers(0, 20)), got=st.lists(st.integers(0, 20)))
def test_audits_count(wanted, got, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ids")
    for name, ids in (("a", wanted), ("b", got)):
        table = pa.table({"id": pa.array(ids, pa.int64())})
        pq.write_table(table, folder / name)
    found = scoring.audit([folder / "a"], [folder / "b"])
    assert found.rows == len(got)
    assert found.missing == len(set(wanted) - set(got))
    assert found.double == len(got) - len(set(got))


def test_the_command_says_what_is_wrong(files, tmp_path, capsys):
    (tmp_path / "broken.npz").write_bytes(b"no model")
    scoring.write_table(tmp_path / "t", np.zeros((2, 784), "u1"), 2, 2)
    for table, model, reason in (
        (tmp_path, files["first"], "no part-*.parquet"),
        (tmp_path / "t", tmp_path / "none.npz", "No such file"),
        (tmp_path / "t", tmp_path / "broken.npz", "broken.npz"),
    ):
        with pytest.raises(SystemExit):
            operations.main([str(table), str(tmp_path / "o"), str(model)])
        assert reason in capsys.readouterr().err


@given(
    st.integers(0, 500),
    st.integers(1, 100),
    st.integers(1, 5),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_job_takes_no_less_than_its_work(rows, size, workers, part, row):
    taken = operations.job_time(rows, size, workers, part, row)
    parts = math.ceil(rows / size)
    work = parts * part + rows * row
    one = part + size * row
    assert work / workers - 1e-6 <= taken <= work / workers + one + 1e-6
    alone = operations.job_time(rows, size, 1, part, row)
    assert alone == pytest.approx(work)


def test_rates_and_races(client, files, monkeypatch):
    monkeypatch.setattr(roofs, "multiply_rate", lambda **_: 1e9)
    monkeypatch.setattr(roofs, "read_bandwidth", lambda *_: 1e9)
    assert set(operations.roofs()) == {
        "memory, a row of float32",
        "arithmetic",
    }
    timed = operations.steps(files["first"], 200)
    assert set(timed) == {*LAYOUTS, "models"}
    assert all(v > 0 for part in timed.values() for v in part.values())
    raced = operations.race(client, files["first"], 300, 100, 1)
    assert raced["rows"] == 300
    assert next(iter(raced["columns"])) == "Dask, scikit-learn"
    assert all(isinstance(t, Timing) for t in raced["bytes"].values())
    sized = operations.by_size(client, files["first"], (50, 100, 400), 300)
    cpus = machine.cpus()
    assert sized["sizes"] == [n for n in (50, 100) if n * cpus <= 300] or [300]
    assert len(sized["seconds"]) == len(sized["sizes"])
    assert sized["part"] > 0


def test_the_comparison_takes_the_usual_way_first(monkeypatch, files):
    ways = {"Dask, scikit-learn": Timing((2.0,)), "Dask": Timing((1.0,))}
    found = {"columns": ways, "bytes": ways}
    monkeypatch.setattr(rates, "race", lambda *_, **__: found)
    monkeypatch.setattr(rates.cluster, "local", contextlib.nullcontext)
    monkeypatch.setattr(serving, "trained", lambda: {"linear": files["first"]})
    (comparison,) = operations.COMPARISONS.values()
    got = comparison()
    assert next(iter(got)) == "Dask, scikit-learn"
    assert "Dask, bytes" in got


@pytest.mark.parametrize("free", [0, 10**9, 10**12])
def test_rows_fit_into_memory(free, monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: free)
    rows = operations.rows_that_fit()
    assert 6_000 <= rows <= 20_000


# Starts


def test_a_cold_start_is_taken_apart(files):
    found = operations.cold_start(files["first"])
    names = [step["name"] for step in found["steps"]]
    assert names[0] == "the interpreter"
    assert names[-4:] == [
        "first call", "second call", "first batch", "second batch",
    ]  # fmt: skip
    assert all(s["seconds"] >= 0 < s["threads"] for s in found["steps"])


def test_workers_from_the_server_share_what_it_has_imported(files):
    found = operations.started("forkserver", files["first"], 2)
    assert len(found["seconds"]) == 2
    if sys.platform == "linux":
        assert found["own"] < found["all"] / 2


def test_workers_are_forked_with_the_model(files):
    found = operations.fork_loaded(files["first"])
    assert found["own"] < found["all"] / 2
    assert found["before"] in (
        "answers",
        "none of cc, gcc, clang is installed",
    )
    assert found["after"] in ("hangs", "answers", found["before"])


def test_a_lazy_model_is_loaded_by_its_first_client(files, monkeypatch):
    loads = []
    monkeypatch.setattr(
        fleet, "load_model", lambda *a: loads.append(a) or model
    )
    model = serving.load_model("m", files["first"])
    late = operations.lazy("m", files["first"], model.version)
    assert loads == []
    for _ in range(2):
        late.predict(np.zeros((1, 784), "u1"))
    assert len(loads) == 1


def test_a_warm_up_calls_with_one_row_and_a_full_batch():
    shapes = []
    model = serving.Model("m", "v", lambda x: shapes.append(x.shape))
    operations.warm_up(model, serving.Design(max_batch=16))
    assert set(shapes) == {(1, 784), (16, 784)}


# Versions


def test_only_what_is_whole_is_found(shelf, files):
    place, versions = shelf
    path = store.file_of(place, versions["second"])
    assert path.read_bytes() == files["second"].read_bytes()
    with pytest.raises(operations.NotTakenError, match="no version"):
        store.file_of(place, "0" * 12)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(operations.NotTakenError, match="not what its name"):
        store.point(place, versions["second"])
    assert store.current(place) == versions["first"]


def test_golden_rows_find_what_is_wrong(shelf):
    place, versions = shelf
    golden = store.golden_of(place, versions["first"])
    right = store.take(place, versions["first"]).predict
    other = serving.load_model(
        "m", store.file_of(place, versions["second"])
    ).predict
    assert golden.complaints(right) == []
    for predict, said in (
        (lambda x: right(x)[:, :5], "shape"),
        (lambda x: right(x) * np.nan, "finite"),
        (lambda x: right(x // 255), "differs"),
        (other, "differs"),
    ):
        assert said in golden.complaints(predict)[0]
    with pytest.raises(operations.NotTakenError, match="right, less than"):
        store.take(place, versions["spoilt"])
    with pytest.raises(operations.NotTakenError):
        store.point(place, versions["spoilt"])


@pytest.mark.parametrize(
    ("name", "said"), [("second", "zip file"), ("trees", "cut off")]
)
def test_the_newest_file_may_be_half(shelf, files, name, said):
    place, versions = shelf
    found = operations.half_written(place, files[name])
    assert found["the newest file"].startswith("ValueError")
    assert said in found["the newest file"]
    assert found["the pointer"] == f"loaded {versions['first']}"
    assert store.latest(place).exists()


def test_a_version_without_whole_golden_rows_is_not_taken(shelf):
    place, versions = shelf
    golden = place / f"golden-{versions['second']}.npz"
    whole = golden.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"no archive"):
        golden.write_bytes(content)
        with pytest.raises(operations.NotTakenError, match=golden.name):
            store.point(place, versions["second"])
    golden.unlink()
    with pytest.raises(operations.NotTakenError, match=golden.name):
        store.take(place, versions["second"])
    assert store.current(place) == versions["first"]


def test_before_a_version_was_pointed_at_none_is_current(tmp_path):
    with (
        pytest.raises(operations.NotTakenError, match="is current"),
        operations.Fleet(tmp_path),
    ):
        pass


def test_versions_roll_and_nothing_is_lost(shelf, pictures):
    place, versions = shelf
    order = [versions[name] for name in ("second", "spoilt", "first")]
    found = operations.rolled(place, order, 100.0, pixels=pictures[:40])
    assert (found.lost, found.refused, found.wrong) == (0, 0, 0)
    assert len(found.versions) == len(found.when)
    assert set(found.versions) == {versions["first"], versions["second"]}
    taken, spoilt, back = found.told
    assert taken == f"{versions['second']} taken"
    assert back == f"{versions['first']} taken"
    assert "not taken" in spoilt
    assert "right, less than" in spoilt
    assert store.current(place) == versions["first"]


def test_a_fleet_whose_first_version_fails_leaves_nothing(shelf):
    place, versions = shelf
    (place / store.POINTER).write_text(versions["spoilt"])
    with (
        pytest.raises(operations.NotTakenError, match="right, less"),
        operations.Fleet(place),
    ):
        pass


def test_a_ready_fleet_answers_warm_or_not(shelf):
    place, _ = shelf
    found = operations.first_requests(place)
    assert len(found) == 3
    assert all(len(one["answers"]) > 1 for one in found.values())


def test_a_restart_by_hand_loses_requests(files):
    found = operations.restarted([files["first"], files["second"]], 800, 1.5)
    assert found["lost"] > 0
    assert found["answered"] + found["lost"] == 1_200


def test_wrong_answers_are_noticed(files, pictures):
    model = serving.load_model("model", files["first"])
    due = np.array([0.1, 0.2, 0.3, 0.4])
    right = model.predict(pictures[:2]).tolist()

    def body(version, row):
        return (
            f'{{"version": "{version}", "probabilities": [{right[row]}]}}'
        ).encode()

    journal = serving.Journal(
        [0.2, 0.1, 0.3, 0.4], [0.0] * 4, [1.0] * 4, [200, 200, 0, 503],
        [body(model.version, 1), body(model.version, 1), b"", b""],
    )  # fmt: skip
    models = {model.version: model}
    found = operations.judged(journal, due, pictures[:2], models)
    assert (found.lost, found.refused, found.wrong) == (1, 1, 1)
    journal.bodies[0] = body("another", 1)
    assert operations.judged(journal, due, pictures[:2], models).wrong == 2


@pytest.mark.skipif(
    not hasattr(__import__("socket"), "SO_REUSEPORT"), reason="no such option"
)
def test_every_connection_is_in_one_of_two_queues():
    found = operations.two_queues(12)
    assert found["lost"] + found["kept"] == 12


@given(st.text(), st.floats(0, 1), st.floats(0, 1), st.text(max_size=5))
def test_a_larger_share_contains_the_smaller(key, one, other, salt):
    small, large = sorted((one, other))
    if operations.chosen(key, small, salt):
        assert operations.chosen(key, large, salt)
    assert not operations.chosen(key, 0.0, salt)
    assert operations.chosen(key, 1.0, salt)


def test_a_share_is_what_was_asked_for():
    for share in (0.01, 0.1, 0.5):
        got = sum(operations.chosen(f"c{i}", share) for i in range(20_000))
        sigma = math.sqrt(20_000 * share * (1 - share))
        assert abs(got - 20_000 * share) < 5 * sigma
    both = [
        operations.chosen(f"c{i}", 0.5, "a")
        == operations.chosen(f"c{i}", 0.5, "b")
        for i in range(20_000)
    ]
    assert abs(sum(both) - 10_000) < 5 * math.sqrt(5_000)


# Quotas


@given(st.floats(0.01, 300), st.integers(1, 100))
@example(0.5, 1)
def test_threads_fit_the_quota(quota, processes):
    threads = operations.threads_for(quota, processes)
    assert threads >= 1
    assert threads == 1 or threads * processes <= quota
    assert (threads + 1) * processes > quota
    assert set(operations.environment_for(threads).values()) == {str(threads)}


@given(
    st.sets(st.integers(0, 200), min_size=1, max_size=40), st.integers(1, 50)
)
def test_cpu_sets_are_disjoint_and_even(cpus, processes):
    sets = operations.cpu_sets(list(cpus), processes)
    assert len(sets) == processes
    assert set().union(*map(set, sets)) <= cpus
    sizes = [len(one) for one in sets]
    assert max(sizes) - min(sizes) <= 1
    if processes <= len(cpus):
        assert sum(sizes) == len(cpus) == len(set().union(*map(set, sets)))
    else:
        assert sizes == [1] * processes


def test_nonsense_is_refused():
    for quota, processes in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="no quota"):
            operations.threads_for(quota, processes)
    for cpus, processes in (([], 1), ([1], 0)):
        with pytest.raises(ValueError, match="no CPUs"):
            operations.cpu_sets(cpus, processes)


def test_a_group_is_made_where_there_is_a_tree(tmp_path, monkeypatch):
    for version in (tmp_path, tmp_path / "cpu"):
        version.mkdir(exist_ok=True)
    assert quotas._new_group(tmp_path) is None  # no tree at all
    (tmp_path / "cpu" / "cgroup.procs").touch()
    folder = quotas._new_group(tmp_path)
    assert folder.parent == tmp_path / "cpu"
    assert not quotas._granted(folder, 0.5)  # no such file yet
    (folder / "cpu.cfs_quota_us").touch()
    assert quotas._granted(folder, 0.5)
    assert (folder / "cpu.cfs_quota_us").read_text() == "50000"
    (folder / "cpu.max").touch()
    assert quotas._granted(folder, 1.5)
    assert (folder / "cpu.max").read_text() == "150000 100000"


def test_a_group_or_a_cpu_confines_a_program():
    program = (
        "import json, os; from parallel_ai.toolbox import machine\n"
        "print(json.dumps([machine.cpus(), os.environ.get('OMP_NUM_THREADS')]))"
    )
    with operations.control_group(1.0) as group:
        variables = operations.environment_for(1)
        found = operations.inside(group, program, variables=variables)
    if group or hasattr(os, "sched_setaffinity"):
        assert found[0] == 1
    assert found[1] == "1"
    assert group is None or not group.exists()


def test_libraries_say_what_they_take():
    found, how = operations.taken_by_default()
    assert {"os.cpu_count()", "torch", "joblib", "this book"} <= set(found)
    assert found["os.cpu_count()"] == os.cpu_count()
    if hasattr(os, "sched_setaffinity"):
        assert found["this book"] == 1
    assert how in ("a control group of 1 CPU", "one CPU")


def test_a_service_is_squeezed():
    found = operations.throttled((1, 2), 1.0, 5)
    assert set(found["times"]) == {1, 2}
    assert all(times for times in found["times"].values())
    assert all(0 <= share <= 1 for share in found["stalls"].values())


# Replicas


@given(st.floats(0, 1e5), st.floats(0.1, 1e4), st.floats(0, 0.9))
def test_replicas_carry_the_demand_and_no_fewer_do(demand, each, headroom):
    n = operations.replicas_for(demand, each, headroom)
    usable = each * (1 - headroom)
    assert n >= 1
    assert n * usable >= demand * (1 - 1e-6) - 1e-6
    assert n == 1 or (n - 1) * usable < demand * (1 + 1e-6)


@given(st.floats(0.1, 300), st.floats(0.01, 0.9))
def test_staffing_is_the_least_that_keeps_its_promise(load, waits):
    n = operations.staff(load, 1.0, waits)
    assert serving.erlang_c(load, 1.0, n) <= waits
    assert serving.erlang_c(load, 1.0, n - 1) > waits or n - 1 <= load


@pytest.mark.parametrize("waits", [0.01, 0.05, 0.2, 0.5])
def test_the_root_rule_is_close_to_erlang(waits):
    beta = operations.root_rule(waits)
    for load in (5, 20, 100, 1_000):
        exact = operations.staff(load, 1.0, waits)
        assert abs(operations.staff_by_root(load, beta) - exact) <= 2


DEMANDS = hnp.arrays(float, st.integers(0, 60), elements=st.floats(0, 500))


@given(DEMANDS, st.integers(0, 8), st.integers(1, 4), st.integers(4, 30))
def test_a_played_day_adds_up(demand, lag, least, most):
    rule = operations.reactive(10.0)
    day = operations.play_day(demand, 10.0, rule, lag, least, most)
    left = day.backlog[-1] if len(demand) else 0.0
    assert day.served.sum() + left == pytest.approx(60 * demand.sum())
    assert (day.served <= day.replicas * 600 * (1 + 1e-9)).all()
    assert (day.backlog >= 0).all()
    assert ((day.replicas >= least) & (day.replicas <= most)).all()
    assert day.paid * 60 >= day.replicas.sum() - 1e-6
    if lag == 0:
        assert day.paid * 60 == pytest.approx(day.replicas.sum())


@given(DEMANDS, st.integers(0, 5), st.integers(0, 3))
def test_who_knows_the_day_is_never_late(demand, lag, more):
    if len(demand):
        demand[: lag + 1] = 0  # nobody can be ready before the day begins
    rule = operations.predictive(10.0, demand, lag + more)
    day = operations.play_day(demand, 10.0, rule, lag)
    assert day.late == 0 or not len(demand)


def test_a_longer_start_is_later():
    demand = np.full(60, 5.0)
    demand[30:] = 200.0
    rule = operations.reactive(10.0)
    late = [
        operations.play_day(demand, 10.0, rule, lag).late for lag in (0, 2, 8)
    ]
    assert late == sorted(late)
    assert late[0] < late[-1]


def test_a_made_up_day_has_a_peak_and_a_seed():
    one, same, other = (
        operations.day_of_demand(100.0, seed=seed) for seed in (0, 0, 1)
    )
    assert (one == same).all()
    assert (one != other).any()
    assert one.shape == (1440,)
    assert 2 <= one.min() < one.max() < 130


def test_a_curve_is_measured(files):
    curve = operations.service_curve(
        files["first"], shares=(0.3,), seconds=0.3
    )
    assert curve["most"] > 0
    (one,) = curve["loads"]
    assert one["refused"] == 0
    assert operations.in_time(curve, 60.0) == one["answered"]
    assert operations.in_time(curve, 0.0) == 0


@given(st.floats(1, 1e6), st.floats(0.01, 1), st.floats(0, 100))
def test_prices(rate, busy, price):
    got = operations.price_of_a_million(rate, busy, price)
    assert got * 3600 * rate * busy == pytest.approx(1e6 * price)


# Watching


@given(hnp.arrays(float, 200, elements=st.floats(0, 1)))
def test_an_index_is_none_for_the_same_and_never_negative(reference):
    assert operations.stability_index(reference, reference) == 0
    assert operations.stability_index(reference, reference**2 + 0.3) >= 0


def test_false_alarms_come_as_often_as_chosen():
    draw = np.random.default_rng(0)
    m, n, rate, windows = 4_000, 400, 0.05, 2_000
    for statistic, limit in (
        (operations.stability_index, operations.index_limit(m, n, rate)),
        (operations.largest_gap, operations.gap_limit(m, n, rate)),
    ):
        alarms = 0
        for _ in range(windows // 2):
            reference, sample = draw.normal(size=m), draw.normal(size=n)
            alarms += statistic(reference, sample) > limit
        sigma = math.sqrt(windows / 2 * rate * (1 - rate))
        assert abs(alarms - windows / 2 * rate) < 5 * sigma


@given(st.integers(10, 10**5), st.integers(10, 10**5), st.floats(1e-4, 0.5))
def test_a_limit_and_its_false_alarms_are_inverse(m, n, rate):
    limit = operations.index_limit(m, n, rate)
    assert operations.false_alarms(m, n, limit) == pytest.approx(rate)


@given(
    hnp.arrays(float, st.integers(2, 50), elements=st.floats(-9, 9)),
    hnp.arrays(float, st.integers(2, 50), elements=st.floats(-9, 9)),
)
def test_the_largest_gap_is_scipys(one, other):
    right = stats.ks_2samp(one, other, method="asymp").statistic
    assert operations.largest_gap(one, other) == pytest.approx(right)


def test_drift_begins_on_the_sixth_day_and_mirrors_hide(pictures):
    reference = operations.brightness(pictures)
    limit = operations.index_limit(len(pictures), 500, 1e-4)

    def index(day):
        sample = operations.drifts(pictures, day)
        return operations.stability_index(
            reference, operations.brightness(sample)
        )

    assert all(index(day) < limit for day in range(1, 6))
    assert index(14) > limit
    turned = operations.mirrored(pictures[:50])
    assert (operations.mirrored(turned) == pictures[:50]).all()
    assert np.allclose(
        operations.brightness(turned), operations.brightness(pictures[:50])
    )


@given(st.floats(0.9, 0.9999), st.floats(0.01, 30))
def test_budgets_burn(objective, burn):
    errors = burn * (1 - objective) * 1000
    assert operations.burn_rate(errors, 1000, objective) == pytest.approx(burn)
    assert operations.budget_left(burn, 0) == 1
    assert operations.budget_left(burn, 720 / burn) == pytest.approx(0)
    assert operations.burn_rate(0, 0, objective) == 0


def test_an_hour_at_14_4_costs_a_fiftieth_of_a_month():
    assert 1 - operations.budget_left(14.4, 1) == pytest.approx(0.02)


@pytest.mark.parametrize("failing", [1.0, 0.1, 0.02])
def test_alerts_come_when_computed_and_end_with_the_errors(failing):
    rule = operations.Alert(14.4, 60, 5)
    requests = np.full(300, 100.0)
    errors = np.zeros(300)
    errors[100:200] = failing * 100
    got = operations.alerts(errors, requests, 0.999, [rule])
    hours = operations.hours_until_alert(failing, 0.999, 14.4, 1.0)
    assert got[0] == 100 + max(0, math.ceil(hours * 60 - 1e-6) - 1)
    assert got[-1] < 205  # the short window knows that it is over
    assert got == list(range(got[0], got[-1] + 1))


def test_what_burns_slowly_pages_nobody():
    errors, requests = np.full(600, 0.4), np.full(600, 100.0)
    assert operations.alerts(errors, requests, 0.999) == []
    assert operations.hours_until_alert(0.004, 0.999, 14.4, 1) == math.inf
    assert operations.hours_until_alert(0.0, 0.999, 14.4, 1) == math.inf


# Exercises


@pytest.mark.parametrize(
    "name", [n for n in EXERCISES if n.startswith(practice.__name__)]
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("wall_time", lambda w, t, q, p: w / t),
        ("wall_time", lambda w, t, q, p: w / min(t, q)),
        ("still_to_do", lambda p, o, r, v: [x for x in p if x not in o]),
        ("desired_replicas", lambda n, w, t, e: math.ceil(n * w / t)),
    ],
)
def test_wrong_solutions_do_not(name, wrong):
    with pytest.raises(AssertionError, match="expected"):
        EXERCISES[f"{practice.__name__}.{name}"].check(wrong)
