"""Vectors: every variant equals the naive one; layouts, roofs, exercises."""

import gc
import math
import sys
import threading
from functools import partial

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from parallel_ai.one_machine import vectors
from parallel_ai.one_machine.vectors import lines, means, practice
from parallel_ai.toolbox import datasets, machine
from parallel_ai.toolbox.attempts import attempt
from parallel_ai.toolbox.exercises import EXERCISES, starter, verdict
from parallel_ai.toolbox.stopwatch import Timing

SIZES = [0, 1, 2, 7, 1000]
TEAMS = [1, 2, 3]
LIMIT = 60  # seconds

sizes = pytest.mark.parametrize("size", SIZES)
teams = pytest.mark.parametrize("team", TEAMS)


def grey(*shape: int) -> np.ndarray:
    """Random pixels; whole numbers, so that small sums are exact."""
    return np.random.default_rng(math.prod(shape)).integers(
        0, 256, shape, np.uint8
    )


# Scores


@pytest.mark.parametrize("count", [0, 1, 3, 50])
@pytest.mark.parametrize("pixels", [0, 1, 5, 784])
@teams
def test_scores_agree_with_the_loop(count, pixels, team):
    images = grey(count, pixels).astype(np.float32)
    template = grey(pixels).astype(np.float32)
    expected = vectors.scores_python(images, template)
    assert expected.dtype == np.float32
    with vectors.numba_threads(team), threadpool_limits(team):
        for way in (
            vectors.scores_scalar,
            vectors.scores_lanes,
            vectors.scores_parallel,
            vectors.scores_blas,
        ):
            got = way(images, template)
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_the_source_of_the_kernels_says_the_same():
    images, template = np.ones((3, 4), np.float32), np.ones(4, np.float32)
    for kernel in (
        vectors.scores_scalar,
        vectors.scores_lanes,
        vectors.scores_parallel,
    ):
        np.testing.assert_array_equal(
            kernel.py_func(images, template), [4, 4, 4]
        )


def test_only_permission_brings_lanes():
    images = grey(5, 64).astype(np.float32)
    for kernel in (vectors.scores_scalar, vectors.scores_lanes):
        kernel(images, images[0])
    assert vectors.arithmetic(vectors.scores_scalar)["packed"] == 0
    assert vectors.arithmetic(vectors.scores_scalar)["scalar"] > 0
    assert vectors.arithmetic(vectors.scores_lanes)["packed"] > 0


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("\tvaddss\t%xmm0, %xmm1, %xmm2", (1, 0)),
        ("\tvfmadd231ps\t(%rax), %zmm1, %zmm2", (0, 1)),
        ("\tvfnmadd213pd\t%ymm1, %ymm1, %ymm2", (0, 1)),
        ("\tmulsd\t%xmm0, %xmm1", (1, 0)),
        ("\tvpaddq\t%ymm0, %ymm1, %ymm2", (0, 0)),
        ("\tvmovups\t(%rax), %zmm1", (0, 0)),
        ("\tfmadd\ts0, s1, s2, s0", (1, 0)),
        ("\tfmla.4s\tv0, v1, v2", (0, 1)),
        ("\tfmla\tv0.4s, v1.4s, v2.4s", (0, 1)),
        ("\tfadd\td0, d0, d1", (1, 0)),
    ],
)
def test_arithmetic_knows_both_families_of_processors(line, expected):
    class Kernel:
        __name__ = "kernel"

        def inspect_asm(self):
            return {(): f"f:\n{line}\n\tret\n"}

    got = vectors.arithmetic(Kernel())
    assert (got["scalar"], got["packed"]) == expected


def test_what_is_not_compiled_has_no_instructions():
    kernel = numba.njit(lambda x: x)
    kernel.__name__ = "fresh"
    with pytest.raises(ValueError, match="fresh has not been called"):
        vectors.arithmetic(kernel)


# Products


@pytest.mark.parametrize(
    "shape", [(0, 3, 2), (1, 1, 1), (2, 0, 3), (3, 5, 0), (7, 70, 600)]
)
@teams
def test_products_agree_with_blas(shape, team):
    m, n, p = shape
    a, b = grey(m, n).astype(np.float32), grey(n, p).astype(np.float32)
    with vectors.numba_threads(team):
        for way in (
            vectors.product_naive,
            vectors.product_streamed,
            partial(vectors.product_blocked, depth=64, width=512),
            partial(vectors.product_parallel, depth=64, width=512),
        ):
            np.testing.assert_allclose(way(a, b), a @ b, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.integers(1, 12),
    st.integers(1, 12),
)
def test_no_size_of_block_changes_the_product(shape, depth, width):
    m, n, p = shape
    a, b = grey(m, n).astype(np.float32), grey(n, p).astype(np.float32)
    expected = a @ b
    for way in (vectors.product_blocked, vectors.product_parallel):
        np.testing.assert_array_equal(
            way(a, b, depth=depth, width=width), expected
        )


def test_work_of_products():
    vector = vectors.product_work(10_000, 784, 1)
    assert vector.operations == 2 * 10_000 * 784
    assert vector.bytes == 4 * (10_000 * 784 + 784 + 10_000)
    assert vector.intensity == pytest.approx(0.5, rel=0.01)
    half = vectors.product_work(10_000, 784, 1, itemsize=8)
    assert half.intensity == vector.intensity / 2


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 500))
def test_more_columns_never_lower_the_intensity(rows, inner, columns):
    one = vectors.product_work(rows, inner, columns)
    more = vectors.product_work(rows, inner, columns + 1)
    assert more.intensity > one.intensity


def test_libraries_name_a_blas_and_obey_limits():
    with threadpool_limits(1, user_api="blas"):
        found = [
            one
            for one in vectors.libraries()
            if one["library"] in ("openblas", "mkl", "blis", "flexiblas")
        ]
    assert found
    assert {one["threads"] for one in found} == {1}
    assert all("/" not in one["from"] for one in found)


# Passes


@sizes
@teams
def test_standardising_agrees(size, team):
    pixels = grey(size)
    given = (pixels, np.float32(100), np.float32(50))
    expected = vectors.standardise(*given)
    assert expected.dtype == np.float32
    with vectors.numba_threads(team):
        for way in (
            vectors.standardise_in_place,
            vectors.standardise_blocked,
            vectors.standardise_fused,
            vectors.standardise_parallel,
        ):
            out = np.full(size, 7, np.float32)
            assert way(*given, out) is out or way.__name__ in (
                "standardise_fused",
                "standardise_parallel",
            )
            np.testing.assert_allclose(out, expected, atol=1e-6)


def test_blocks_cover_what_is_not_divisible(monkeypatch):
    monkeypatch.setattr(vectors.passes, "BLOCK", 10)
    pixels = grey(37)
    given = (pixels, np.float32(1), np.float32(2))
    out = np.empty(37, np.float32)
    vectors.standardise_blocked(*given, out)
    np.testing.assert_allclose(out, vectors.standardise(*given), atol=1e-6)


# Lines


@given(st.integers(1, 300), st.sampled_from([1, 2, 4, 8]))
def test_bytes_per_number_never_exceed_a_line(stride, itemsize):
    got = vectors.bytes_per_number(stride, itemsize)
    assert itemsize <= got <= 64
    assert got == 64 or got == stride * itemsize


@pytest.mark.parametrize("stride", [1, 2, 3, 50])
def test_sum_every(stride):
    values = grey(100).astype(np.float32)
    expected = sum(float(v) for v in values[::stride])
    assert vectors.sum_every(values, stride) == expected


@pytest.mark.parametrize("gap", [32, 64, 512])
@teams
def test_counters_lie_exactly_so_far_apart(team, gap):
    counts = vectors.counters(team, gap)
    assert counts.shape == (team, 8)
    assert not counts.any()
    places = [row.ctypes.data for row in counts]
    assert places[0] % 4096 == 0
    assert np.diff(places).tolist() == [gap] * (team - 1)
    shared = len({place // 64 for place in places}) < team
    assert shared == (gap < 64 and team > 1)
    gc.collect()
    counts += 1  # the memory below is still ours
    assert counts.sum() == 8 * team


@sizes
@teams
@pytest.mark.parametrize("gap", [32, lines.SAFE])
def test_levels_agree_wherever_the_counters_lie(size, team, gap):
    pixels = grey(size)
    expected = np.bincount(pixels >> 5, minlength=8)
    np.testing.assert_array_equal(vectors.levels_serial(pixels), expected)
    np.testing.assert_array_equal(
        vectors.levels_threads(pixels, team, gap), expected
    )
    counts, seconds = vectors.levels_timed(pixels, team, gap, rounds=2)
    np.testing.assert_array_equal(counts, expected)
    assert seconds >= 0


def test_level_kernel_adds_to_what_is_there():
    for kernel in (vectors.level_kernel, vectors.level_kernel.py_func):
        counts = np.ones(8, np.int32)
        kernel(np.array([0, 31, 255], np.uint8), counts)
        assert counts.tolist() == [3, 1, 1, 1, 1, 1, 1, 2]


# Means


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("kind", ["float64", "float32", "uint8"])
@teams
def test_means_agree_with_numpy(size, kind, team):
    values = grey(size).astype(kind)
    expected = np.mean(values, dtype=np.float64)
    assert vectors.mean_lanes(values) == pytest.approx(expected)
    assert vectors.mean_nogil(values, team) == pytest.approx(expected)
    assert vectors.mean_parallel(values, team) == pytest.approx(expected)


def test_the_mean_of_no_numbers_is_an_error():
    for mean in (
        vectors.mean_lanes,
        vectors.mean_nogil,
        vectors.mean_parallel,
    ):
        with pytest.raises(ValueError, match="no numbers"):
            mean(np.empty(0))


def test_nan_and_infinity_reach_the_mean():
    for hole in (np.nan, np.inf, -np.inf):
        values = np.ones(1000)
        values[500] = hole
        expected = np.mean(values)
        for mean in (vectors.mean_lanes, vectors.mean_parallel):
            np.testing.assert_equal(mean(values), expected)


def test_the_sum_of_float32_is_taken_in_float64():
    values = np.ones(2**24 + 8, np.float32)
    assert vectors.sum_kernel(values, 0.0) == 2**24 + 8
    assert vectors.sum_parallel(values, 0.0) == 2**24 + 8


def test_numba_threads_are_set_back_even_after_an_error():
    before = numba.get_num_threads()

    def fail():
        with vectors.numba_threads(1) as threads:
            assert threads == numba.get_num_threads() == 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert numba.get_num_threads() == before
    with vectors.numba_threads(10_000) as threads:
        assert threads == numba.config.NUMBA_NUM_THREADS


@pytest.mark.parametrize("torch", [True, False])
def test_the_comparison_names_its_ways_and_its_limit(monkeypatch, torch):
    if not torch:
        monkeypatch.setattr(
            means.importlib.util, "find_spec", lambda name: None
        )
    elif not means.importlib.util.find_spec("torch"):
        pytest.skip("torch is not installed")
    monkeypatch.setattr(machine, "memory", lambda: 40 * 1000)
    monkeypatch.setattr(means, "read_bandwidth", lambda: 8e9)
    monkeypatch.setattr(
        means, "load", lambda name: {"train_images": grey(9, 28, 28)}
    )
    found = vectors.COMPARISONS["mean of 100 million numbers"]()
    *ways, limit = found
    assert ways[0] == "np.mean"
    assert ("torch mean" in ways) == torch
    assert limit.startswith("limit: ")
    assert found[limit] == pytest.approx(1000 * 8 / 8e9)
    for way in ways:
        assert isinstance(found[way], Timing)
        assert found[way].result == pytest.approx(found["np.mean"].result)


def test_importing_the_chapter_does_not_import_torch():
    output = attempt(
        "import sys\n"
        "import parallel_ai.one_machine.vectors\n"
        "print('torch' in sys.modules)\n",
        seconds=LIMIT,
    )
    assert output == "False\n[ended with exit code 0]"


# SciPy


def test_scipy_jobs_do_not_depend_on_the_threads():
    jobs = vectors.scipy_jobs(grey(4000, 28, 28))
    assert jobs.keys() >= {"fft.rfft2, workers=", "sparse @ dense"}
    for name, job in jobs.items():
        one, two = job(1), job(2)
        if isinstance(one, tuple):  # distances and indices: ties may differ
            one, two = one[0], two[0]
        np.testing.assert_allclose(
            one, two, rtol=1e-3, atol=np.abs(one).max() * 1e-4, err_msg=name
        )


# Traps


@sizes
@teams
def test_tables_of_their_own_lose_nothing(size, team):
    labels = grey(size) % 10
    expected = np.bincount(labels, minlength=10)
    with vectors.numba_threads(team):
        for parts in (1, 3, 16):
            got = vectors.labels_counted(labels, parts)
            np.testing.assert_array_equal(got, expected)


def test_a_kernel_of_tables_overwrites_each_row():
    tables = np.full((2, 10), 7, np.int64)
    vectors.table_kernel(np.array([1, 1, 2, 9], np.uint8), tables)
    assert tables.tolist() == [
        [0, 2, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 0, 0, 0, 1],
    ]


def test_a_race_can_lose_but_one_thread_cannot():
    labels = grey(100_000) % 10
    right = np.bincount(labels, minlength=10)
    with vectors.numba_threads(1):
        np.testing.assert_array_equal(vectors.labels_raced(labels), right)
    assert (vectors.labels_raced(labels) <= right).all()


def test_fastmath_overlooks_what_it_was_promised_not_to_be_there():
    values = np.array([1.0, np.nan, 2.0])
    assert vectors.holes(values) == 1
    assert vectors.holes_fast(values) == 0
    assert vectors.holes_fast.py_func(values) == 1


def test_roots_agree():
    values = np.arange(100.0) ** 2
    for kernel in (
        vectors.roots_locked,
        vectors.roots_nogil,
        vectors.roots_parallel,
    ):
        assert kernel(values) == pytest.approx(99 * 50)
        assert kernel.py_func(values) == pytest.approx(99 * 50)


def test_silence_is_within_the_job_and_no_thread_is_left():
    running = threading.active_count()
    silence, whole = vectors.longest_silence(partial(sum, range(1000)))
    assert 0 < silence <= whole
    with pytest.raises(ZeroDivisionError):
        vectors.longest_silence(lambda: 1 // 0)
    assert threading.active_count() == running


def test_the_other_thread_is_alive_while_the_job_waits():
    seen = []

    def job():
        for thread in threading.enumerate():
            if thread is not threading.main_thread():
                seen.append(thread.is_alive())

    vectors.longest_silence(job)
    assert seen
    assert all(seen)


FORKED = """
import os
import numpy as np
from numba import threading_layer
from parallel_ai.one_machine import vectors
vectors.mean_parallel(np.ones(10))
print("layer", threading_layer(), flush=True)
child = os.fork()
if child == 0:
    vectors.mean_parallel(np.ones(10))
    os._exit(0)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="GNU's OpenMP is Linux's"
)
def test_a_fork_after_openmp_is_ended_by_its_library():
    output = attempt(FORKED, seconds=LIMIT)
    if "layer omp" in output and "GNU OpenMP" in output:
        assert "child -15" in output
    else:
        assert "child 0" in output


# Exercises

NAMES = [n for n in EXERCISES if n.startswith(practice.__name__)]


@pytest.mark.parametrize("name", NAMES)
def test_solutions_pass_their_checks_and_starters_do_not(name):
    one = EXERCISES[name]
    one.check(one.solution)
    space: dict = {"np": np}
    exec(starter(one.solution), space)
    told = verdict(space[one.solution.__name__], vectors)
    assert "still the starter" in told


def one_table(queries, base, room):
    table = np.einsum("ij,ij->i", base, base) - 2 * queries @ base.T
    return table.argmin(axis=1)


def one_by_one(queries, base, room):
    return [int(((base - q) ** 2).sum(axis=1).argmin()) for q in queries]


def left_to_right(values, block):
    return sum(values[1:], start=values[0])


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("lines_touched", lambda c, s, i: c * s * i // 64, "expected"),
        ("lines_touched", lambda c, s, i: c, "expected"),
        ("pairwise_sum", left_to_right, "goes through"),
        ("pairwise_sum", lambda v, b: v[0], "returned"),
        ("nearest_within", one_table, "held"),
        ("nearest_within", one_by_one, "used only"),
        ("nearest_within", lambda q, b, r: np.zeros(len(q)), "expected"),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError, match=message):
        one.check(wrong)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.integers(1, 20))
def test_pairwise_sums_are_near_the_exact_one(values, block):
    got = vectors.pairwise_sum(values, block)
    assert got == pytest.approx(math.fsum(values), abs=1e-6)


@given(st.integers(0, 200), st.integers(1, 50), st.sampled_from([1, 2, 4, 8]))
def test_lines_touched_counts_lines(count, stride, itemsize):
    places = range(0, count * stride * itemsize, stride * itemsize)
    expected = len({place // 64 for place in places})
    assert vectors.lines_touched(count, stride, itemsize) == expected


@pytest.mark.parametrize("room", [1, 40, 10_000])
def test_nearest_within_any_room(room):
    queries, base = grey(9, 5).astype("f4"), grey(7, 5).astype("f4")
    np.testing.assert_array_equal(
        vectors.nearest_within(queries, base, room),
        one_by_one(queries, base, room),
    )


def test_the_page_needs_real_pixels():
    data = datasets.load("fashion-mnist")
    assert data["train_images"].dtype == np.uint8
