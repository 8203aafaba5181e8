"""Reproducible: bit for bit the serial result, whoever computes it."""

import math
import multiprocessing
import random
import sys
import threading
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from parallel_ai.one_machine import randomness
from parallel_ai.one_machine.randomness import (
    elsewhere,
    forests,
    loaders,
    practice,
    sums,
    teams,
    traps,
)
from parallel_ai.toolbox.attempts import attempt
from parallel_ai.toolbox.exercises import EXERCISES

# Python 3.12 and later warn of fork beside threads, and torch of more
# workers than CPUs; these tests know.
pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:This process .* is multi-threaded:DeprecationWarning"
    ),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
]

METHODS = multiprocessing.get_all_start_methods()
SIZES = [0, 1, 2, 7]
WORKERS = [1, 2, 3]
LIMIT = 60  # seconds

workers_ = pytest.mark.parametrize("workers", WORKERS)
sizes = pytest.mark.parametrize("size", SIZES)
on_fork = pytest.mark.skipif("fork" not in METHODS, reason="has no fork")


# Three calls to the generator in each task. A task lies in the package:
# this module would import PyTorch in every worker.
three = partial(randomness.resample, np.arange(9), 3)
fails = partial(randomness.resample, np.empty(0), 1)


def drawn(results):
    return [one.tolist() for one in results]


# Estimates


def test_a_trimmed_mean_leaves_out_both_ends():
    values = np.array([1000.0, *range(1, 19), -1000.0])
    assert randomness.trimmed_mean(values) == np.mean(range(1, 19))
    assert randomness.trimmed_mean(np.array([5])) == 5
    assert randomness.trimmed_mean(values, share=0) == values.mean()
    with pytest.raises(ValueError, match="no values"):
        randomness.trimmed_mean(np.empty(0))


@given(st.lists(st.integers(-500, 500), min_size=1, max_size=60))
def test_a_trimmed_mean_is_that_of_the_sorted_middle(values):
    out = int(0.05 * len(values))
    middle = sorted(values)[out : len(values) - out]
    found = randomness.trimmed_mean(np.array(values, np.int16))
    assert found == pytest.approx(np.mean(middle))


def test_the_bootstrap_spreads_as_theory_says():
    values = np.random.default_rng(1).normal(0, 1, 400)
    means = randomness.resample(values, 800, np.random.default_rng(2))
    assert means.std() == pytest.approx(1 / 20, rel=0.15)
    low, high = randomness.interval(means)
    assert low < randomness.trimmed_mean(values) < high
    inside = ((low <= means) & (means <= high)).mean()
    assert inside == pytest.approx(0.95, abs=0.01)
    assert randomness.resample(values, 0, None).shape == (0,)


def test_late_journeys_agree_with_every_case_tried():
    delays = np.array([-5, 0, 40, 90], np.int16)
    sums_of_3 = [a + b + c for a in delays for b in delays for c in delays]
    expected = np.mean(np.array(sums_of_3) > 75)
    exact = randomness.late_exactly(delays, flights=3, minutes=75)
    assert exact == pytest.approx(expected)
    hits = randomness.late_journeys(
        delays, 20_000, np.random.default_rng(0), flights=3, minutes=75
    )
    low, high = randomness.share_interval(hits, 20_000)
    assert low < exact < high


@pytest.mark.parametrize(("minutes", "expected"), [(-100, 1), (10_000, 0)])
def test_certain_and_impossible_delays(minutes, expected):
    delays = np.array([-3, 4], np.int16)
    found = randomness.late_exactly(delays, 2, minutes)
    assert found == pytest.approx(expected)


def test_exact_probabilities_do_not_overflow_small_integers():
    delays = np.array([-30_000, 30_000], np.int16)
    assert randomness.late_exactly(delays, 1, 0) == 0.5


# Seeds


@settings(max_examples=60)
@given(
    st.integers(0, 2**200),
    st.lists(st.integers(0, 2**32 - 1), max_size=4),
    st.integers(0, 20),
)
def test_seed_words_are_those_of_numpy(entropy, key, count):
    sequence = np.random.SeedSequence(entropy, spawn_key=key)
    theirs = sequence.generate_state(count).tolist()
    assert randomness.seed_words(entropy, key, count) == theirs


@given(st.integers(0, 2**64), st.integers(0, 63))
def test_one_bit_of_the_seed_changes_about_half_of_the_state(seed, bit):
    assert 0.25 < randomness.flipped(seed, bit) < 0.75


def test_a_stream_is_the_spawned_child_of_that_number():
    children = np.random.SeedSequence(11).spawn(3)
    for number, child in enumerate(children):
        same = np.random.default_rng(child).random()
        assert randomness.stream(11, number).random() == same
    grandchild = children[1].spawn(2)[1]
    expected = np.random.default_rng(grandchild).random()
    assert randomness.stream(11, 1, 1).random() == expected


@given(
    st.integers(0, 2**64),
    st.lists(
        st.lists(st.integers(0, 99), max_size=3).map(tuple),
        unique=True,
        max_size=20,
    ),
)
def test_different_keys_are_different_streams(seed, keys):
    first = {randomness.stream(seed, *key).random() for key in keys}
    assert len(first) == len(keys)


# Counters and jumps


@settings(max_examples=40)
@given(st.integers(0, 2**256 - 2), st.integers(0, 2**128 - 1))
def test_philox_is_that_of_numpy(counter, key):
    theirs = np.random.Philox(key=key, counter=counter).random_raw(4)
    assert list(randomness.philox(counter + 1, key)) == theirs.tolist()


def test_items_have_numbers_of_their_own_in_any_order():
    names = [(e, i) for e in (0, 1, 2**63) for i in (0, 1, 2**64 - 1)]
    there = {name: randomness.at(5, *name).random(3) for name in names}
    back = {n: randomness.at(5, *n).random(3) for n in reversed(names)}
    assert len({tuple(v) for v in there.values()}) == len(names)
    for name in names:
        np.testing.assert_array_equal(there[name], back[name])
    assert randomness.at(6, 0, 0).random() != there[0, 0][0]


def test_jumps_start_further_on_and_do_not_nest():
    step = 0x9E3779B97F4A7C15F39CC0605CEDC835
    walked = np.random.Generator(np.random.PCG64(3).advance(2 * step))
    assert randomness.jumped(3, 2).random() == walked.random()
    twice = np.random.PCG64(3).jumped(1).jumped(1)
    assert twice.random_raw() == np.random.PCG64(3).jumped(2).random_raw()


# A stream for each task


@sizes
@workers_
def test_threads_draw_what_one_draws_alone(size, workers):
    alone = drawn(randomness.draw_serial(three, size, 7))
    assert len(alone) == size
    assert drawn(randomness.draw_threads(three, size, 7, workers)) == alone
    longer = drawn(randomness.draw_serial(three, size + 3, 7))
    assert longer[:size] == alone


@pytest.mark.parametrize(
    ("size", "workers"), [(0, 2), (1, 3), (7, 1), (7, 2), (7, 3)]
)
def test_processes_draw_what_one_draws_alone(size, workers):
    alone = drawn(randomness.draw_serial(three, size, 7))
    assert drawn(randomness.draw_processes(three, size, 7, workers)) == alone


@pytest.mark.parametrize("method", METHODS)
def test_the_start_method_does_not_matter(method):
    alone = drawn(randomness.draw_serial(three, 3, 9))
    found = randomness.draw_processes(three, 3, 9, 2, method)
    assert drawn(found) == alone


def test_a_stream_for_each_worker_depends_on_their_number():
    one, two, three_ = (
        drawn(randomness.draw_by_worker(three, 6, 7, k)) for k in WORKERS
    )
    assert len(one) == len(two) == len(three_) == 6
    assert one[:3] == two[:3]  # worker 0 draws the same
    assert one[3:] != two[3:]
    assert two != three_
    assert two == drawn(randomness.draw_by_worker(three, 6, 7, 2))


@sizes
@workers_
def test_a_shared_generator_gives_each_number_once(size, workers):
    rng = randomness.stream(7)
    expected = sorted(rng.random() for _ in range(size))
    found = randomness.draw_shared(lambda r: r.random(), size, 7, workers)
    assert sorted(found) == expected


def test_who_comes_first_decides_what_a_shared_generator_gives():
    """The order forced: the second task draws before the first."""
    has_drawn = threading.Event()
    turn = iter(range(2))

    def task(rng):
        if next(turn) == 0:
            assert has_drawn.wait(LIMIT)
            return rng.random()
        value = rng.random()
        has_drawn.set()
        return value

    rng = randomness.stream(7)
    first, second = rng.random(), rng.random()
    assert randomness.draw_shared(task, 2, 7, 2) == [second, first]


def test_errors_of_a_task_reach_the_caller():
    for draw in (
        randomness.draw_serial,
        randomness.draw_threads,
        randomness.draw_processes,
    ):
        with pytest.raises(ValueError, match="no values"):
            draw(fails, 5, 7)


def test_a_worker_without_a_task_says_so(monkeypatch):
    monkeypatch.setattr(teams, "_kept", None)
    with pytest.raises(RuntimeError, match="no task"):
        teams.draw_kept(7, 0)
    teams.keep_task(three)
    expected = three(randomness.stream(7, 0))
    np.testing.assert_array_equal(teams.draw_kept(7, 0), expected)


def test_nothing_touches_the_global_generators():
    before = np.random.get_state()[1].copy(), random.getstate()
    randomness.draw_serial(three, 3, 1)
    randomness.draw_threads(three, 3, 1, 2)
    randomness.at(1, 2, 3).random()
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert random.getstate() == before[1]


# The same numbers twice


@pytest.mark.parametrize("method", METHODS)
def test_who_draws_the_same(method):
    found = randomness.different(2, method)
    assert found["stream(0, worker)"] == 2
    assert found["default_rng()"] == 2
    assert found["random.random()"] == 2
    assert found["default_rng(0)"] == 1
    assert found["RNG at the module's top"] == 1
    if method == "fork":
        assert found["np.random.random()"] == 1
    if method == "spawn":
        assert found["np.random.random()"] == 2


@pytest.mark.skipif("forkserver" not in METHODS, reason="has no fork server")
def test_a_fork_server_that_knows_numpy_random_hands_on_its_state():
    output = attempt(
        "import multiprocessing\n"
        "def first(_):\n"
        "    import numpy as np\n"
        "    return np.random.random()\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('forkserver')\n"
        "    context.set_forkserver_preload(['numpy.random'])\n"
        "    found = set()\n"
        "    for _ in range(2):\n"
        "        with context.Pool(1) as pool:\n"
        "            found.add(pool.apply_async(first, (0,)).get(30))\n"
        "    print(len(found), 'different')\n",
        seconds=LIMIT,
    )
    assert "1 different" in output, output


def test_in_workers_uses_a_new_process_for_each():
    import os

    found = randomness.in_workers(os.getpid, [(), ()])
    assert len({*found, os.getpid()}) == 3
    assert randomness.in_workers(divmod, [(7, 2), (9, 4)]) == [(3, 1), (2, 1)]
    assert randomness.in_workers(divmod, []) == []
    with pytest.raises(ZeroDivisionError):
        randomness.in_workers(divmod, [(7, 2), (7, 0)])


def test_seed_plus_rank_repeats_and_pairs_do_not():
    runs, ranks = 5, 4
    plus = [r + k for r in range(runs) for k in range(ranks)]
    assert randomness.repeated(plus) == (runs - 1) * (ranks - 1)
    pairs = [(r, k + 1) for r in range(runs) for k in range(ranks)]
    assert randomness.repeated(pairs) == 0
    assert randomness.repeated([7, [7, 0]]) == 1  # padded with zeros
    assert randomness.repeated([]) == 0


def test_the_same_seed_narrows_the_interval_and_adds_nothing():
    delays = np.array([0, 30], np.int16)
    alone = randomness.journeys_by(
        randomness.same_seed(3, 1), delays, journeys=100
    )
    four = randomness.journeys_by(
        randomness.same_seed(3, 4), delays, journeys=400
    )
    assert sum(four) == pytest.approx(sum(alone))  # the same centre
    assert np.ptp(four) == pytest.approx(np.ptp(alone) / 2)


def test_coverage_falls_as_the_model_says_and_streams_restore_it():
    delays = np.arange(-20, 60, dtype=np.int16)
    truth = randomness.late_exactly(delays, minutes=120)

    def held(give):
        return randomness.covered(
            [
                randomness.journeys_by(give(number, 9), delays, 900)
                for number in range(400)
            ],
            truth,
        )

    assert randomness.coverage_model(1) == pytest.approx(0.95)
    # three standard errors of 400 experiments
    assert held(randomness.same_seed) == pytest.approx(
        randomness.coverage_model(9), abs=0.075
    )
    assert held(randomness.own_stream) == pytest.approx(0.95, abs=0.035)
    assert len(traps.own_stream(0, 3)) == 3


# Sums


def numbers(size, dtype=np.float32):
    return np.random.default_rng(size).normal(0, 1e3, size).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 2, 7, 1000])
def test_sums_agree_with_fsum_within_their_bounds(size, dtype):
    values = numbers(size, dtype)
    exact = math.fsum(values)
    unit = np.finfo(dtype).eps / 2 * math.fsum(abs(values))
    assert abs(sums.sum_in_order(values) - exact) <= size * unit
    assert abs(sums.sum_compensated(values) - exact) <= 3 * unit
    assert abs(sums.sum_serial(values) - exact) <= 20 * unit
    for workers in WORKERS:
        by_worker = sums.sum_by_worker(values, workers)
        assert abs(by_worker - exact) <= 20 * unit


def test_compiled_sums_do_what_their_source_says():
    values = numbers(500)
    for add in (sums.sum_in_order, sums.sum_compensated):
        assert add(values) == add.py_func(values)


def test_compensation_keeps_what_plain_addition_loses():
    values = np.full(1000, 1e-8, np.float32)
    values[0] = 1
    assert sums.sum_in_order(values) == 1
    assert sums.sum_compensated(values) == pytest.approx(1 + 999e-8, abs=1e-7)


@workers_
def test_the_fixed_tree_is_bit_identical(workers, monkeypatch):
    monkeypatch.setattr(sums, "BLOCK", 4)
    for size in (0, 1, 4, 5, 12, 13, 1001):
        values = numbers(size)
        alone = sums.sum_serial(values)
        assert sums.sum_threads(values, workers) == alone
        assert sums.sum_threads(values[::1].copy(), workers) == alone


@pytest.mark.parametrize(("size", "workers"), [(0, 2), (1, 2), (200_000, 3)])
def test_processes_add_the_same_tree(size, workers):
    values = numbers(size)
    assert sums.sum_processes(values, workers) == sums.sum_serial(values)


def test_the_number_of_workers_changes_a_sum_that_they_cut():
    values = numbers(100_000)
    assert len({float(sums.sum_by_worker(values, k)) for k in range(1, 9)}) > 1


@given(st.integers(0, 10**6))
def test_blocks_are_complete(count):
    cuts = sums.blocks(count)
    assert sum(b - a for a, b in cuts) == count
    assert all(0 < b - a <= sums.BLOCK for a, b in cuts)
    assert [a for a, _ in cuts[1:]] == [b for _, b in cuts[:-1]]


@given(st.lists(st.integers(-(10**9), 10**9), max_size=40))
def test_join_adds_everything_once(values):
    assert sums.join(values) == sum(values)


def test_join_adds_in_pairs():
    assert sums.join(["a", "b", "c", "d", "e"]) == "abcde"
    big = 1e16  # in order, each 1 would be lost
    assert sums.join([big, -big, 1.0, 1.0]) == 2
    assert sums.join([big, 1.0, 1.0, -big]) == 0


# Elsewhere


def test_digests_differ_when_a_bit_does():
    assert randomness.digest(1.0) == randomness.digest(np.float64(1))
    assert randomness.digest(1.0) != randomness.digest(np.nextafter(1.0, 2))


@pytest.mark.parametrize("name", elsewhere.MACHINES)
def test_whole_numbers_are_the_same_on_every_machine(name):
    here, there = randomness.results(), randomness.results_on(name)
    assert here.keys() == there.keys()
    for what in ("whole random numbers", "sum of whole numbers"):
        assert here[what] == there[what]


# scikit-learn


def pictures(count):
    rng = np.random.default_rng(count)
    labels = np.arange(count) % 3
    images = rng.integers(0, 200, (count, 4, 4)) + 15 * labels[:, None, None]
    return images.astype(np.uint8), labels


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_trees_do_not_depend_on_jobs(n_jobs):
    images, labels = pictures(90)
    one = forests.fit_forest(images, labels, 1)
    more = forests.fit_forest(images, labels, n_jobs)
    assert forests.same_trees(one, more)
    np.testing.assert_array_equal(
        forests.votes_in_order(one, images),
        forests.votes_in_order(more, images),
    )
    votes = forests.votes(more, images)
    np.testing.assert_allclose(
        votes, forests.votes(one, images), rtol=0, atol=1e-12
    )


def test_other_seeds_and_used_states_give_other_trees():
    images, labels = pictures(90)
    one = forests.fit_forest(images, labels, 1, 0)
    assert forests.same_trees(one, forests.fit_forest(images, labels, 1, 0))
    other = forests.fit_forest(images, labels, 1, 1)
    assert not forests.same_trees(one, other)
    state = np.random.RandomState(0)
    pair = [forests.fit_forest(images, labels, 1, state) for _ in range(2)]
    assert not forests.same_trees(*pair)


def test_a_generator_is_refused():
    images, labels = pictures(9)
    with pytest.raises(ValueError, match="random_state"):
        forests.fit_forest(images, labels, 1, np.random.default_rng(0))


def test_arrival_decides_the_last_bit_of_the_votes():
    """scikit-learn adds what each tree says in the order of arrival."""
    from sklearn.ensemble import _forest

    says = [np.array([[x]]) for x in (0.1, 0.2, 0.3)]

    def add(order):
        out, lock = [np.zeros((1, 1))], threading.Lock()
        for i in order:
            _forest._accumulate_prediction(
                lambda *_, i=i, **__: says[i], None, out, lock
            )
        return out[0][0, 0]

    assert add([0, 1, 2]) != add([2, 1, 0])
    assert issubclass(RandomForestClassifier, _forest.ForestClassifier)


# PyTorch


def test_a_generator_in_the_dataset_repeats_across_workers_and_epochs():
    images, _ = pictures(32)

    def repeats(workers, init=None):
        seen = loaders.epochs(loaders.Careless(images), workers, init=init)
        return loaders.used_twice(seen)

    assert repeats(0) == 0
    assert repeats(1) == 32  # the second epoch repeats the first
    assert repeats(2) == 48  # and each worker the other
    assert repeats(2, loaders.reseed) == 0


def test_reseeding_repeats_a_run_but_not_for_other_workers():
    images, _ = pictures(32)
    one, two, again = (
        loaders.epochs(loaders.Careless(images), k, init=loaders.reseed)
        for k in (1, 2, 2)
    )
    assert two == again
    assert one != two


@pytest.mark.parametrize("size", [1, 20])
def test_items_look_the_same_for_any_workers(size):
    images, _ = pictures(size)
    alone = loaders.epochs(loaders.Careful(images), 0, batch=3)
    assert [sorted(epoch) for epoch in alone] == [list(range(size))] * 2
    for workers in WORKERS:
        seen = loaders.epochs(loaders.Careful(images), workers, batch=3)
        assert seen == alone
        assert [list(epoch) for epoch in seen] == [list(e) for e in alone]
    assert loaders.used_twice(alone) == 0
    other = loaders.epochs(loaders.Careful(images, seed=1), 0, batch=3)
    assert other != alone


def test_a_shift_moves_every_pixel_once():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    moved = loaders.shifted(image, randomness.stream(0))
    np.testing.assert_array_equal(np.sort(moved, axis=None), image.ravel())


def test_strictly_refuses_allows_and_restores(monkeypatch):
    # torch sets it when it is first asked to be deterministic
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    places = torch.tensor([0, 0])
    refused = loaders.strictly(
        lambda: torch.zeros(2).put_(places, torch.ones(2))
    )
    assert refused.startswith("refused: put_")
    assert loaders.strictly(lambda: 1 + 1) == "allowed: 2"
    assert "nan" in loaders.strictly(lambda: torch.empty(2))
    assert not torch.are_deterministic_algorithms_enabled()


# Exercises


@pytest.mark.parametrize(
    "name", [n for n in EXERCISES if n.startswith(practice.__name__)]
)
def test_solutions_pass_their_checks(name):
    one = EXERCISES[name]
    one.check(one.solution)


def by_shuffling(keys, share, seed):
    rng = np.random.default_rng(seed)
    return list(rng.random(len(keys)) < share)


def one_generator(values, statistic, times, seed, workers):
    rng = np.random.default_rng((seed, workers))
    draws = (rng.choice(values, len(values)) for _ in range(times))
    return np.array([statistic(d) for d in draws], np.float64)


def from_the_end(values, statistic, times, seed, workers):
    return practice.bootstrap(values, statistic, times, seed, 1)[::-1]


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("held_out", by_shuffling, "changed sides"),
        ("held_out", lambda k, s, n: [True] * len(k), "expected about 600"),
        ("bootstrap", one_generator, "other results than one"),
        ("bootstrap", from_the_end, "begin again"),
        ("sum_any_order", lambda v, k: sum(v), "expected"),
    ],
)
def test_wrong_answers_are_told_apart(name, wrong, message):
    one = EXERCISES[f"{practice.__name__}.{name}"]
    with pytest.raises(AssertionError, match=message):
        one.check(wrong)


def test_the_package_starts_without_the_large_libraries():
    output = attempt(
        "import sys\n"
        "import parallel_ai.one_machine.randomness\n"
        "print({'numba', 'sklearn', 'torch'} & set(sys.modules))\n"
    )
    assert "set()" in output, (output, sys.version)
