import ctypes
import json
import os
import platform
import re
import shutil
import sys
from functools import partial

import numpy as np
import pytest
import sklearn.ensemble
import torch
import torch._inductor.config
import tqdm
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from parallel_ai.production import native
from parallel_ai.production.native import (
    compiling,
    layers,
    practice,
    sections,
    traps,
    ways,
)
from parallel_ai.toolbox import records, roofs
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.stopwatch import Timing

KERNELS = sections.KERNELS
rng = np.random.default_rng(0)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Libraries go to a folder of the tests."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling.datasets, "cache", lambda: folder)
        # The exporter's progress bar would leave a thread behind.
        patch.setattr(tqdm.tqdm, "monitor_interval", 0)
        yield folder


@pytest.fixture(scope="module")
def models():
    """All models, learnt from few pictures, and the whole test set."""
    return native.trained(500)


def weights(features=784, classes=10):
    draw = np.random.default_rng(features * 100 + classes)
    return native.Weights(
        draw.normal(size=(features, classes)).astype("f4"),
        draw.normal(size=classes).astype("f4"),
    )


def softmax(weights, rows):
    scores = rows.astype(float) @ weights.matrix.astype(float) + weights.bias
    parts = np.exp(scores - scores.max(1, keepdims=True))
    return parts / parts.sum(1, keepdims=True)


# Compiling


def test_a_library_is_compiled_once(tmp_path, monkeypatch):
    text = "int answer(void) { return 42; }"
    path = native.build(text, ("-O1",), tmp_path)
    assert ctypes.CDLL(str(path)).answer() == 42
    with monkeypatch.context() as patch:
        patch.setattr(compiling, "run", None)  # it would fail
        assert native.build(text, ("-O1",), tmp_path) == path
    others = {
        native.build(text, ("-O2",), tmp_path),
        native.build(text + "\n", ("-O1",), tmp_path),
    }
    monkeypatch.setattr(compiling.machine, "cpu", lambda: "another processor")
    others.add(native.build(text, ("-O1",), tmp_path))
    assert len(others | {path}) == 4
    assert all(p.suffix == ".so" for p in tmp_path.iterdir())


def test_a_source_that_does_not_compile_leaves_nothing(tmp_path):
    with pytest.raises(native.CompilationError, match="unknown_type"):
        native.build("unknown_type x;", folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_a_compiler_the_page_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(native.MissingToolError, match="apt-get install"):
        native.build("int never_compiled;")
    with pytest.raises(native.MissingToolError, match="javac"):
        native.javac(tmp_path)
    assert os.environ["PATH"] == str(tmp_path)


def test_a_record_stands_in_for_a_compiler(monkeypatch):
    def none():
        raise native.MissingToolError("no compiler")

    monkeypatch.setitem(native.SECTIONS, "gil", none)
    monkeypatch.setattr(records, "read", lambda topic: [])
    with pytest.raises(native.MissingToolError, match="no compiler"):
        native.shown("gil")
    assert native.shown("ahead")[0] is None
    told = records.Record(
        "native", {"cpu": "Other", "cpus": 2}, "", {}, "", "",
        {"gil": {"one thread": 3}},
    )  # fmt: skip
    monkeypatch.setattr(records, "read", lambda topic: [told])
    got, whose = native.shown("gil")
    assert got == {"one thread": 3}
    assert "Other" in whose
    monkeypatch.setitem(native.SECTIONS, "gil", lambda: 7)
    assert native.shown("gil") == (7, "measured here")


def test_gcc_says_what_it_has_vectorised():
    if "Free Software" not in compiling.run(["gcc", "--version"]):
        return  # another compiler of that name
    text = native.text_of("linear.c")
    assert native.vectorised(text, ("-O0",)) == {}
    said = native.vectorised(text, ("-O3",))
    assert all(re.fullmatch(r"\d+ bits", bits) for bits in said.values())
    assert "lanes" in said
    dot = "float dot(float *x, float *y) { float s = 0;\n" + (
        "for (int i = 0; i < 784; i++) s += x[i] * y[i];\nreturn s; }"
    )
    assert native.vectorised(dot, ("-O1",)) == {}
    assert "dot" in native.vectorised(dot, ("-O3", "-ffast-math"))


# Logistic regression


@settings(max_examples=25)
@given(
    st.sampled_from(KERNELS),
    st.sampled_from([0, 1, 2, 7, 8, 9, 16, 33]),
    st.sampled_from([1, 7, 8, 9, 784]),
    st.sampled_from([2, 10, 16]),
    st.integers(1, 3),
)
def test_any_shape_has_the_answers_of_double_precision(
    kernel, count, features, classes, threads
):
    w = weights(features, classes)
    rows = rng.random((count, features)).astype("f4")
    got = native.NativeLinear(w, kernel)(rows, threads)
    np.testing.assert_allclose(got, softmax(w, rows), atol=3e-5)
    if count:
        got = native.numpy_linear(w, rows)
        np.testing.assert_allclose(got, softmax(w, rows), atol=3e-5)


def test_answers_go_where_they_are_wanted():
    w, rows = weights(), rng.random((5, 784)).astype("f4")
    model = native.NativeLinear(w)
    out = np.full((7, 10), 9, "f4")
    assert model(rows, 1, out[:5]).base is out
    assert (out[5:] == 9).all()
    with pytest.raises(native.InputError, match="7 rows, not 5"):
        model(rows, 1, out)
    with pytest.raises(native.InputError, match="float64"):
        model(rows, 1, np.empty((5, 10)))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros(784, "f4"), "shape"),
        (np.zeros((2, 783), "f4"), r"\(2, 783\)"),
        (np.zeros((1, 2, 784), "f4"), "shape"),
        (np.zeros((2, 784)), "float64"),
        (np.zeros((2, 784), ">f4"), "expected an array of float32"),
        (np.zeros((2, 784), "i4"), "int32"),
        (np.zeros((784, 2), "f4").T, "one after the other"),
        (np.zeros((2, 1568), "f4")[:, ::2], "one after the other"),
        ([[0.0] * 784], "list"),
        (None, "NoneType"),
        ("x" * 784, "str"),
    ],
)
def test_nothing_wrong_reaches_c(models, bad, message):
    trees = native.trees_of(models.forest)
    with native.NativeBooster(models.boosted.model_to_string()) as booster:
        for model in (
            native.NativeLinear(weights()),
            native.CompiledForest(trees, 784),
            native.PackedForest(trees, 784),
            booster,
            booster.one,
        ):
            with pytest.raises(native.InputError, match=message):
                model(bad)


def test_impossible_models_are_refused():
    with pytest.raises(native.InputError, match="16 classes"):
        native.NativeLinear(weights(3, 17))
    with pytest.raises(native.InputError, match="1 thread"):
        native.NativeLinear(weights())(np.zeros((1, 784), "f4"), 0)


WIDE = """typedef float wide __attribute__((vector_size(64)));
void add(wide *x) { *x += *x; }
"""


@pytest.mark.parametrize("processor", ["v2", "v3", "v4"])
def test_no_vector_is_wider_than_a_register(processor, tmp_path):
    """GCC takes such a one apart in memory, and says so if it is asked."""
    if "Free Software" not in compiling.run(["gcc", "--version"]):
        return  # another compiler of that name
    if platform.machine() != "x86_64":
        pytest.skip("these are kinds of x86-64")

    def compiled(text):
        path = tmp_path / "model.c"
        path.write_text(text, encoding="utf-8")
        compiling.run(
            [
                "gcc", f"-march=x86-64-{processor}", "-O3", "-fopenmp", "-c",
                "-Wvector-operation-performance", "-Werror",
                path, "-o", tmp_path / "model.o",
            ]
        )  # fmt: skip

    compiled(native.text_of("linear.c"))
    if processor != "v4":  # which has registers for sixteen floats
        with pytest.raises(native.CompilationError, match="vector operation"):
            compiled(WIDE)


# Trees


@settings(max_examples=300)
@given(
    st.floats(-1e30, 1e30),
    st.floats(width=32, allow_nan=False),
    st.integers(-2, 2),
)
def test_below_turns_no_row(threshold, x, steps):
    rounded = native.below(np.array([threshold]))[0]
    assert rounded.dtype == np.float32
    near = np.float32(threshold)
    for _ in range(abs(steps)):
        near = np.nextafter(near, np.float32(np.copysign(np.inf, steps)))
    for value in (np.float32(x), near):
        assert (value <= rounded) == (float(value) <= threshold)


def test_both_forests_are_scikit_learns_on_every_row(models):
    trees = native.trees_of(models.forest)
    right = models.forest.predict_proba(models.rows)
    for kind in (native.CompiledForest, native.PackedForest):
        for threads in (1, 2):
            got = kind(trees, 784)(models.rows, threads)
            np.testing.assert_allclose(got, right, atol=1e-6)
    got = native.cython_forest(models.forest, models.rows)
    np.testing.assert_allclose(got, right, atol=1e-12)
    nodes, roots, leaves = native.packed(trees)
    assert len(nodes) == sum(len(t.left) for t in trees)
    assert len(leaves) == sum((t.left < 0).sum() for t in trees)
    assert (nodes["feature"][roots] >= 0).all()


def test_rows_exactly_on_a_threshold_go_left():
    x = np.array([[0.1], [0.3]], "f4")
    model = sklearn.ensemble.RandomForestClassifier(
        3, random_state=0, bootstrap=False
    ).fit(x, [0, 1])
    trees = native.trees_of(model)
    on = np.float32(trees[0].threshold[0])
    rows = np.array(
        [[np.nextafter(on, np.float32(s))] for s in (-1, 1)] + [[on]], "f4"
    )
    right = model.predict_proba(rows)
    for kind in (native.CompiledForest, native.PackedForest):
        np.testing.assert_array_equal(kind(trees, 1)(rows), right)


def test_a_single_leaf_and_nan():
    leaf = native.Tree(
        *(np.array([x]) for x in (-2, -2.0, -1, -1)),
        np.array([[0.25, 0.75]], "f4"),
    )
    fork = native.Tree(
        np.array([0, -2, -2]),
        np.array([0.5, -2, -2]),
        np.array([1, -1, -1]),
        np.array([2, -1, -1]),
        np.array([[0.5, 0.5], [1, 0], [0, 1]], "f4"),
    )
    rows = np.array([[0.5], [np.nan]], "f4")
    for kind in (native.CompiledForest, native.PackedForest):
        assert kind([leaf], 1)(rows).tolist() == [[0.25, 0.75]] * 2
        assert kind([fork], 1)(rows).tolist() == [[1, 0], [0, 1]]
        assert kind([fork], 1)(rows[:0]).shape == (0, 2)


# Every way


def test_every_way_agrees_on_every_row(models, capfd):
    found = ways.judge(models, calls=20, many=50, repeats=1)
    assert capfd.readouterr() == ("", "")  # nothing of what tl2cgen says
    assert {row["model"] for row in found} == set(ways.MODELS)
    assert len(models.rows) == 10_000
    for row in found:
        assert row["difference"] <= native.TOLERANCES[row["model"]], row
        assert row["labels"] <= 2, row  # two classes within rounding
        assert 0 < row["p50"] <= row["p99"] <= row["p99.9"]
        assert all(rate > 0 for rate in row["rates"])
    assert {row["python"] for row in found} == {True, False}
    json.dumps(found)


def test_a_disagreement_is_seen(models):
    truth = models.linear.predict_proba(models.rows)

    def wrong(rows):
        return models.linear.predict_proba(rows)[:, ::-1]

    one = native.Way("logistic regression", "wrong", False, wrong, wrong)
    got = native.disagreement(truth, one, models.rows)
    assert got["labels"] > 9000
    assert got["difference"] > 0.5


def test_the_comparisons_begin_with_the_reference(monkeypatch, models):
    monkeypatch.setattr(sections, "trained", lambda: models)
    for function in native.COMPARISONS.values():
        model = function.args[0]
        assert model in ways.MODELS
    got = native.compare_one("logistic regression", "NumPy")
    assert next(iter(got)) == "NumPy"
    assert all(isinstance(way, Timing) for way in got.values())


def test_boosters_say_what_is_wrong(models):
    text = models.boosted.model_to_string()
    with pytest.raises(native.LightGBMError, match="Booster"):
        native.NativeBooster("no model")
    booster = native.NativeBooster(text)
    with pytest.raises(native.InputError, match="one row"):
        booster.one(models.rows[:2])
    booster.close()
    booster.close()  # nothing to free any more


# The network


def tiny():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 10)
    ).eval()


def test_ahead_of_time_and_from_cpp(monkeypatch):
    """All of `compare_ahead`, with a network that compiles soon."""
    # Without helpers that wait for more; kernels stay in Inductor's cache,
    # so that the next run takes a third of the time.
    monkeypatch.setattr(torch._inductor.config, "compile_threads", 1)
    monkeypatch.setattr(torch, "compile", lambda network, **_: network)
    rows = rng.random((700, 784)).astype("f4")
    found = native.compare_ahead(tiny(), rows, (1,))
    assert found[-1]["way"] == "ahead of time, C++"
    for row in found:
        assert row["difference"] < 1e-5, row
        assert row["labels"] == 0
        assert row["rate"] > 0
    json.dumps(found)


# Java


def test_java_gives_the_same_answers_on_every_row(monkeypatch, models):
    monkeypatch.setattr(sections, "trained", lambda: models)
    if not shutil.which("javac"):
        with pytest.raises(native.MissingToolError, match="javac"):
            native.java()
        return
    found = native.java()
    for name in ("linear", "forest"):
        assert found[name]["difference"] < 2e-5
        assert found[name]["labels"] <= 2
        assert found[name]["rate"] > 0
    assert native.code_too_large(np.zeros(5)) == "compiled"
    assert "too large" in native.code_too_large(np.arange(20_000.0))


# Time


def test_a_line_is_found_again():
    sizes = (1, 4, 16, 64, 256, 1024)
    seconds = [3e-5 + 2e-6 * n for n in sizes]
    assert native.fit_line(sizes, seconds) == pytest.approx((3e-5, 2e-6))
    assert min(native.fit_line((1, 2, 4), (3.0, 2.0, 1.0))) >= 0


def test_each_call_gets_another_row():
    seen = []
    rows = np.arange(300, dtype="f4").reshape(150, 2)
    got = native.one_by_one(lambda row: seen.append(row[0, 0]), rows, 200)
    assert got.shape == (200,)
    timed = seen[100:]
    assert timed == [rows[i % 150, 0] for i in range(200)]
    p = native.percentiles(np.arange(1001.0))
    assert p == pytest.approx({"p50": 500, "p99": 990, "p99.9": 999})


def test_calls_are_counted():
    def inner():
        return len("abc")

    assert native.calls_made(lambda: None) == 0
    assert native.calls_made(inner) == 1
    assert native.calls_made(lambda: inner()) == 2
    assert sys.getprofile() is None


def test_batches_take_what_there_is():
    rows = np.zeros((20, 3), "f4")
    sizes = []
    way = lambda some: sizes.append(len(some))
    curve = native.batch_curve({"way": way}, rows, (1, 16, 64), 1)
    assert set(sizes) == {1, 16}
    assert len(curve["way"]) == 2


# Sections and traps


def test_sections_are_json(monkeypatch, models):
    for module in (sections, layers):
        monkeypatch.setattr(module, "trained", lambda: models)
    monkeypatch.setattr(sections, "MILLION", 120)
    monkeypatch.setattr(roofs, "read_bandwidth", lambda *_: 1e9)
    monkeypatch.setattr(roofs, "multiply_rate", lambda **_: 1e9)
    got = native.scaling(50, 1)
    assert got["row_bytes"] == 3136
    assert got["operations"] == 15680
    assert len(got["C"]) == len(got["threads"]) == len(got["read"])
    assert all(seconds > 0 for seconds in got["million"].values())
    parts = [
        got,
        native.ladder(20, 1),
        native.batches((1, 4)),
        native.gil(20, 1),
        parted := native.anatomy(),
    ]
    json.dumps(parts)
    calls = {(row["model"], row["way"]): row["calls"] for row in parted}
    model = "logistic regression"
    assert calls[model, "scikit-learn"] > 10 * calls[model, "NumPy"]
    assert calls["forest", "scikit-learn"] > calls["forest", "C"]


def test_a_record_holds_all_sections(monkeypatch):
    for name in native.SECTIONS:
        monkeypatch.setitem(native.SECTIONS, name, partial(str, name))
    monkeypatch.setattr(sections, "ahead", lambda: [1])
    assert native.record() == {n: n for n in native.SECTIONS} | {"ahead": [1]}


def test_traps_give_wrong_answers_and_no_errors(models):
    got = native.all_traps(models)
    assert got["thresholds"]["never up"] == 0
    assert got["nan"]["seen"][0] is True
    assert float(got["subnormal"]["apart"]) > 0
    assert sys.float_info.min / 2 > 0, "a library switched subnormals off"
    assert got["layout"]["columns"] < got["layout"]["rows"]
    assert got["layout"]["wrong flag"] < got["layout"]["rows"]
    assert got["columns"]["backwards"] < got["columns"]["as learnt"]
    assert got["undeclared"]["declared"] == pytest.approx(
        models.rows[0].mean(), rel=1e-4
    )
    assert got["undeclared"]["undeclared"] != got["undeclared"]["declared"]
    assert got["sizes"] == {"C": 12, "NumPy, aligned": 12, "NumPy": 10}
    assert "loaded: 12" in got["unloaded"]
    assert "unloaded:" not in got["unloaded"].partition("loaded: 12")[2]
    assert len(got["refused"]) == 5
    json.dumps(got)


def test_changed_answers_are_more_than_rounding():
    one = np.zeros((3, 2))
    two = one + [[1e-7, 0], [0.1, 0], [0, 0.2]]
    assert traps.changed_answers(one, two) == 2
    assert traps.changed_answers(one, one) == 0


def test_another_layout_of_nodes_is_refused(monkeypatch, models):
    from parallel_ai.production.native import forests

    loose = np.dtype([(n, forests.NODE[n]) for n in forests.NODE.names])
    monkeypatch.setattr(forests, "NODE", loose)
    with pytest.raises(native.InputError, match="12 bytes in C, 10"):
        native.PackedForest(native.trees_of(models.forest), 784)


# Exercises


@pytest.mark.parametrize(
    "name", [n for n in EXERCISES if n.startswith(practice.__name__)]
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("struct_size", sum, "a compiler says"),
        ("rows_to_gain", lambda a, b: 4.0, "expected inf"),
        (
            "rows_from",
            lambda d, f: np.frombuffer(d, "<f4").reshape(-1, f),
            "NaN",
        ),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message):
    with pytest.raises(AssertionError, match=message):
        EXERCISES[f"{practice.__name__}.{name}"].check(wrong)
