"""Collectives: equal to their definitions, counted, and never stuck."""

import importlib.util
import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parallel_ai.toolbox import figures, ranks
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.stopwatch import Timing
from parallel_ai.training import collectives as c
from parallel_ai.training.collectives import (
    by_mpi,
    drawing,
    groups,
    in_memory,
    practice,
)

LENGTHS = (0, 1, 2, 7, 1003)
PLACE = "parallel_ai.training.collectives.practice."
AS_ROOT = dict.fromkeys(  # Open MPI refuses root, and so would a container
    ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"), "1"
)
sizes = st.integers(1, 8)
lengths = st.integers(0, 20)


def whole_numbers(size: int, length: int, seed: int = 0):
    """Sums of them are exact, in whatever order."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randint(-99, 99, (length,), generator=generator).double()
        for _ in range(size)
    ]


def copies(vectors):
    return [vector.clone() for vector in vectors]


def same(got, expected) -> bool:
    pairs = list(zip(got, expected, strict=True))
    return all(torch.equal(*pair) for pair in pairs)


# Definitions


def test_definitions_by_hand():
    a, b = torch.tensor([1, 2, 3]), torch.tensor([10, 20, 30])
    total = torch.tensor([11, 22, 33])
    assert same(c.broadcast([a, b], 1), [b, b])
    first, second = c.reduce([a, b], 1)
    assert first is None
    assert torch.equal(second, total)
    assert same(c.all_reduce([a, b]), [total, total])
    assert same(
        c.all_gather([a, b]), [torch.tensor([1, 2, 3, 10, 20, 30])] * 2
    )
    assert same(
        c.reduce_scatter([a, b]), [torch.tensor([11]), torch.tensor([22, 33])]
    )


@given(lengths, sizes)
def test_pieces_cover_once_and_evenly(length, size):
    parts = c.pieces(length, size)
    covered = [i for part in parts for i in range(length)[part]]
    assert covered == list(range(length))
    counts = [len(range(length)[part]) for part in parts]
    assert len(counts) == size
    assert max(counts) - min(counts) <= 1
    assert max(counts) == counts[-1]  # the ring's inbox relies on it


@given(sizes, lengths)
def test_definitions_are_made_of_each_other(size, length):
    inputs = whole_numbers(size, length)
    parts = c.reduce_scatter(inputs)
    assert same(c.all_gather(parts), c.all_reduce(inputs))


# Algorithms, in memory


@pytest.mark.parametrize("name", c.OURS)
@given(size=sizes, length=lengths, seed=st.integers(0, 99))
def test_all_reduce_is_the_definition(name, size, length, seed):
    inputs = whole_numbers(size, length, seed)
    got, _, net = c.run_local(c.OURS[name], copies(inputs))
    assert same(got, c.all_reduce(inputs))
    assert not any(net.queues.values())  # no message is left over


@given(size=sizes, length=lengths, root=st.integers(0, 7))
def test_tree_reduces_to_and_copies_from_any_root(size, length, root):
    root %= size
    inputs = whole_numbers(size, length)

    def reduce(net, values):
        return c.tree_reduce(net, values, root)

    def broadcast(net, values):
        return c.tree_broadcast(net, values, root)

    got, _, _ = c.run_local(reduce, copies(inputs))
    assert torch.equal(got[root], c.reduce(inputs, root)[root])
    got, ends, _ = c.run_local(broadcast, copies(inputs))
    assert same(got, c.broadcast(inputs, root))
    assert sum(end.messages for end in ends) == (size - 1) * (length > 0)


@given(size=sizes, length=lengths)
def test_halves_of_the_ring_are_their_definitions(size, length):
    inputs = whole_numbers(size, length)
    got, _, _ = c.run_local(c.ring_reduce_scatter, copies(inputs))
    assert same(got, c.reduce_scatter(inputs))
    parts = c.pieces(length, size)
    own = [torch.zeros(length) for _ in range(size)]
    for rank, part in enumerate(parts):
        own[rank][part] = rank + 1
    got, _, _ = c.run_local(c.ring_all_gather, copies(own))
    whole = torch.cat(
        [vector[part] for vector, part in zip(own, parts, strict=True)]
    )
    assert same(got, [whole] * size)


@given(size=sizes, length=lengths)
def test_messages_and_bytes_are_those_of_the_formulas(size, length):
    inputs = whole_numbers(size, length)
    count = 8 * length
    for name, function in c.OURS.items():
        _, ends, net = c.run_local(function, copies(inputs))
        assert sum(end.bytes for end in ends) == 2 * (size - 1) * count
        assert len(net.trace) == sum(end.messages for end in ends)
        if name != "ring":
            vectors = 2 * (size - 1) * (length > 0)
            assert len(net.trace) == vectors
            continue
        longest = 8 * math.ceil(length / size)
        for end in ends:
            assert end.messages <= 2 * (size - 1)
            assert end.bytes <= 2 * (size - 1) * longest
            if length >= size:
                assert end.messages == 2 * (size - 1)
            if length % size == 0:
                assert end.bytes == 2 * (size - 1) * count // size


@pytest.mark.parametrize(("size", "steps"), [(2, 1), (3, 2), (5, 3), (8, 3)])
def test_nobody_sends_more_often_than_the_tree_has_levels(size, steps):
    inputs = whole_numbers(size, 5)
    _, ends, _ = c.run_local(c.tree_all_reduce, copies(inputs))
    assert max(end.messages for end in ends) == steps


@given(size=sizes, length=lengths, seed=st.integers(0, 99))
def test_all_ranks_have_the_same_bits(size, length, seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = [torch.randn(length, generator=generator) for _ in range(size)]
    exact = sum(x.double() for x in inputs)
    for function in c.OURS.values():
        got, _, _ = c.run_local(function, copies(inputs))
        assert same(got, [got[0]] * size)
        again, _, _ = c.run_local(function, copies(inputs))
        assert same(got, again)  # whichever thread was first
        assert torch.allclose(got[0].double(), exact, atol=1e-5)


def test_the_ring_may_differ_from_the_serial_sum():
    inputs = [torch.full((3,), x) for x in (1e8, 1.0, -1e8)]
    got, _, _ = c.run_local(c.ring_all_reduce, copies(inputs))
    serial = inputs[0] + inputs[1] + inputs[2]
    assert not torch.equal(got[0], serial)


@pytest.mark.parametrize("function", c.OURS.values(), ids=c.OURS)
def test_all_reduces_need_no_eager_messages(function):
    inputs = whole_numbers(5, 7)
    got, _, _ = c.run_local(function, copies(inputs), eager=0)
    assert same(got, c.all_reduce(inputs))


# The transports


def test_messages_are_copies():
    def change_after_sending(net, values):
        if net.rank == 0:
            net.send(values, 1)
            values.zero_()
            net.send(values, 1)
        else:
            net.receive(values, 0)
            first = values.clone()
            net.receive(values, 0)
            return first.tolist(), values.tolist()

    got, _, _ = c.run_local(
        change_after_sending, [torch.ones(2), torch.empty(2)]
    )
    assert got[1] == ([1, 1], [0, 0])


def test_a_deadlock_is_found_without_a_clock(monkeypatch):
    monkeypatch.setattr(in_memory, "SECONDS", threading.TIMEOUT_MAX)

    def all_wait(net, values):
        net.receive(values, (net.rank + 1) % net.size)

    text = "rank 0 waits for a message of 1; rank 1 waits for a message of 0"
    with pytest.raises(c.Deadlock, match=text):
        c.run_local(all_wait, [torch.zeros(1)] * 2)


def test_waiting_for_a_rank_that_has_ended_is_a_deadlock():
    def one_leaves(net, values):
        if net.rank:
            net.receive(values, 0)

    with pytest.raises(c.Deadlock, match="rank 1 waits for a message of 0"):
        c.run_local(one_leaves, [torch.zeros(1)] * 2)


def test_what_a_rank_raises_is_raised():
    def one_raises(net, values):
        if net.rank == 2:
            raise ValueError("no picture")
        net.receive(values, 2)

    with pytest.raises(ValueError, match="no picture"):
        c.run_local(one_raises, [torch.zeros(1)] * 3)


def test_a_rank_that_computes_for_ever_is_told(monkeypatch):
    monkeypatch.setattr(in_memory, "SECONDS", 0.01)
    end = threading.Event()
    with pytest.raises(c.Deadlock, match="still computes"):
        c.run_local(lambda net, values: end.wait(), [0])
    end.set()


def test_short_messages_hide_what_long_ones_show():
    vectors = [torch.full((4,), float(rank)) for rank in range(3)]
    got, _, _ = c.run_local(c.send_then_receive, vectors, eager=16)
    assert [x[0].item() for x in got] == [2, 0, 1]
    with pytest.raises(c.Deadlock, match="rank 2 waits for 0 to receive"):
        c.run_local(c.send_then_receive, vectors, eager=15)


def test_a_plain_transport_moves_nothing():
    net = c.Transport(0, 2)
    net.send(torch.zeros(0), 1)  # an empty vector is no message
    assert net.messages == 0
    with pytest.raises(NotImplementedError):
        net.send(torch.zeros(1), 1)


class StandIn:
    """As much of mpi4py's communicator as we use, over threads."""

    def __init__(self, net):
        self.net = net

    def Get_rank(self):
        return self.net.rank

    def Get_size(self):
        return self.net.size

    def Send(self, array, dest):
        self.net.send(torch.from_numpy(array), dest)

    def Recv(self, array, source):
        self.net.receive(torch.from_numpy(array), source)

    def Sendrecv(self, array, dest, recvbuf, source):
        out, into = torch.from_numpy(array), torch.from_numpy(recvbuf)
        self.net.exchange(out, dest, into, source)

    def Allreduce(self, array, total):
        total[:] = array
        c.star_all_reduce(self.net, torch.from_numpy(total))


@pytest.mark.parametrize("count", [0, 1, 2, 10])
def test_the_same_functions_over_mpi_calls(count):
    got, _, _ = c.run_local(
        lambda net, _: by_mpi.both(StandIn(net), count), [None] * 3
    )
    for ours, theirs in got:
        assert torch.equal(ours, theirs)
        assert torch.equal(ours, 6.0 * torch.arange(count))


@pytest.mark.parametrize("name", c.OURS)
def test_all_ways_over_mpi_calls(name):
    inputs = whole_numbers(4, 6)
    got, _, _ = c.run_local(
        lambda net, x: c.OURS[name](c.Mpi(StandIn(net)), x), copies(inputs)
    )
    assert same(got, c.all_reduce(inputs))


def test_under_mpirun_or_as_the_program_would_start(monkeypatch, capsys):
    """With an MPI, the real thing; without, `main` with the stand-in."""
    if importlib.util.find_spec("mpi4py") and shutil.which("mpirun"):
        done = subprocess.run(
            ["mpirun", "-n", "2", sys.executable, "-m", by_mpi.__name__],
            capture_output=True, text=True, check=True, timeout=60,
            env={**os.environ, **AS_ROOT},
        )  # fmt: skip
        assert done.stdout == "2 ranks: True\n"
        return
    found = type(sys)("mpi4py")
    monkeypatch.setitem(sys.modules, "mpi4py", found)

    def be(net, _):
        found.MPI = type("MPI", (), {"COMM_WORLD": StandIn(net)})
        by_mpi.main()

    c.run_local(be, [None])
    assert capsys.readouterr().out == "1 ranks: True\n"


# Costs


@given(st.floats(1e-7, 1e-2), st.floats(1e-12, 1e-6), st.floats(0, 1e-9))
def test_the_fit_finds_the_link_again(alpha, beta, gamma):
    link = c.Link(alpha, beta, gamma)
    points = {4**k: link.message(4**k) for k in range(2, 13)}
    found = c.fit_link(points, gamma)
    for count, seconds in points.items():
        assert math.isclose(found.message(count), seconds, rel_tol=1e-6)
    assert found.gamma == gamma


@pytest.mark.parametrize(
    ("points", "zero"),
    [({10: 1.0, 1000: 200.0}, "alpha"), ({10: 3.0, 1000: 2.0}, "beta")],
)
def test_no_number_is_negative(points, zero):
    link = c.fit_link(points)
    assert getattr(link, zero) == 0
    assert link.alpha + link.beta > 0


def test_a_line_needs_two_points():
    with pytest.raises(ValueError, match="two sizes at least, got 1"):
        c.fit_link({8: 1.0})


@given(sizes)
def test_times_count_what_the_algorithms_do(size):
    """Messages on the longest path, and bytes; from real runs."""
    length = size * 4
    inputs = whole_numbers(size, length)
    _, ends, _ = c.run_local(c.ring_all_reduce, inputs)
    count = 8 * length
    assert c.ring_time(size, count, c.Link(1, 0)) == ends[0].messages
    assert c.ring_time(size, count, c.Link(0, 1)) == ends[0].bytes
    assert c.star_time(size, count, c.Link(1, 0)) == 2 * (size - 1)
    assert c.tree_time(size, 5, c.Link(1, 0)) == 2 * (size - 1).bit_length()
    assert c.tree_time(size, 5, c.Link(0, 1)) == 10 * (size - 1).bit_length()
    for model in (c.ring_time, c.tree_time, c.star_time):
        shared = c.shared_time(size, count, c.Link(0, 1, 1), model)
        assert shared == 3 * (size - 1) * count
    added = c.ring_time(size, count, c.Link(0, 0, 1))
    assert added == count * (size - 1) / size


def test_bus_bandwidth_is_that_of_the_ring():
    link = c.Link(0, 1e-9)
    for size in (2, 5, 64):
        seconds = c.ring_time(size, 1e6, link)
        assert math.isclose(c.bus_bandwidth(size, 1e6, seconds), 1e9)


# Drawing


@pytest.mark.parametrize("size", [2, 3, 5])
def test_states_of_the_ring(size):
    states, steps = c.ring_states(size)
    assert len(states) == len(steps) + 1 == 2 * size - 1
    bits = [
        [value.bit_count() for x in state for value in x.tolist()]
        for state in states
    ]
    assert bits[0] == [1] * size**2
    assert bits[size - 1].count(size) == size  # each has one total
    assert bits[-1] == [size] * size**2
    for messages in steps:
        assert [m.source for m in messages] == list(range(size))
        assert [m.to for m in messages] == [*range(1, size), 0]


def test_a_wrong_run_is_not_drawn(monkeypatch):
    def half(net, values):
        c.ring_reduce_scatter(net, values)
        c.ring_reduce_scatter(net, values)
        return values

    monkeypatch.setattr(drawing, "ring_all_reduce", half)
    with pytest.raises(ValueError, match="do not explain"):
        c.ring_states(3)


def test_the_drawing_has_a_cell_for_each_piece_and_state():
    fig, axes = figures.new()
    c.draw_ring(axes, 3)
    assert len(axes.patches) == 5 * 9
    arrows = [t for t in axes.texts if getattr(t, "arrow_patch", None)]
    assert len(arrows) == 4 * 3
    figures.plt.close(fig)


# Buckets


@given(st.lists(st.integers(1, 30), max_size=20), st.integers(0, 200))
def test_buckets_keep_order_and_limit(counts, most):
    tensors = [torch.full((n,), i) for i, n in enumerate(counts)]
    found = list(c.buckets(tensors, most))
    flat = [tensor for group in found for tensor in group]
    assert same(flat, tensors)
    for group in found:
        held = sum(tensor.nbytes for tensor in group)
        assert held <= most or len(group) == 1
    for one, two in itertools.pairwise(found):
        held = sum(tensor.nbytes for tensor in one)
        assert held + two[0].nbytes > most  # no bucket closes too early


# Between processes


def all_ways(length: int) -> list[tuple[str, bool, bool, int, int]]:
    """Be one rank: each way, held against the library's, with counts."""
    found = []
    generator = torch.Generator().manual_seed(torch.distributed.get_rank())
    for name, function in {**c.OURS, "chain": in_halves}.items():
        whole = torch.randint(-99, 99, (length,), generator=generator)
        for values in (whole.double(), torch.randn(length)):
            net, expected = c.Wire(), values.clone()
            torch.distributed.all_reduce(expected)
            got = function(net, values)
            found.append(
                (
                    name,
                    torch.equal(got, expected),
                    torch.allclose(got, expected, atol=1e-5),
                    net.messages,
                    net.bytes // values.itemsize,
                )
            )
    return found


def in_halves(net, values):
    c.ring_reduce_scatter(net, values)
    return c.ring_all_gather(net, values)


def lengths() -> list[list[tuple[str, bool, bool, int, int]]]:
    return [all_ways(length) for length in LENGTHS]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_our_ways_are_the_librarys_all_reduce(size):
    for rank, found in enumerate(ranks.run(lengths, size, threads=1)):
        for length, rows in zip(LENGTHS, found, strict=True):
            for i, (name, equal, close, messages, elements) in enumerate(rows):
                assert equal or i % 2, (name, size, length)  # whole numbers
                assert close, (name, size, length)
                if name in c.OURS:  # as many as in memory
                    inputs = [torch.zeros(length)] * size
                    ends = c.run_local(c.OURS[name], inputs)[1]
                    assert messages == ends[rank].messages
                    assert elements == ends[rank].bytes // 4


def swap_both(values: list[torch.Tensor]) -> list[tuple]:
    return [
        c.in_group(way, values)
        for way in (c.ring_all_reduce, c.library_all_reduce)
    ]


def test_in_group_leaves_inputs_and_counts():
    inputs = [torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])]
    for ours, library in ranks.run(swap_both, 2, inputs, threads=1):
        assert ours[0].tolist() == library[0].tolist() == [11, 22]
        assert ours[1:] == (2, 8)
        assert library[1:] == (0, 0)
    assert inputs[0].tolist() == [1, 2]


def test_measurements_have_every_size_and_way():
    found = c.measure_messages((1, 10), repeats=2)
    assert list(found) == [4, 40]
    assert all(len(timing.seconds) == 2 for timing in found.values())
    ways = c.measure_ways(3, (2, 9), repeats=2)
    assert list(ways) == ["star", "tree", "ring", "library"]
    for by_count in ways.values():
        assert list(by_count) == [2, 9]
        assert all(min(t.seconds) > 0 for t in by_count.values())


def test_long_measurements_end_early():
    found = c.measure_ways(2, (4,), repeats=10_000, seconds=0)
    assert {
        len(t.seconds) for way in found.values() for t in way.values()
    } == {3}


def test_a_link_is_measured(monkeypatch):
    fake = {4: Timing((3.0, 2.0)), 400: Timing((9.0, 5.0))}
    monkeypatch.setattr(groups, "measure_messages", lambda repeats: fake)
    found, link = c.measure_link()
    assert found is fake
    assert link.message(4) == pytest.approx(2.0)  # the least counts
    assert link.message(400) == pytest.approx(5.0)
    assert link.gamma > 0


def test_rates_of_memory_restore_the_threads():
    before = torch.get_num_threads()
    assert c.copy_bandwidth(1000) > 0
    assert c.adding_time(1000) > 0
    assert torch.get_num_threads() == before


def test_comparison_and_record(monkeypatch):
    monkeypatch.setattr(
        groups,
        "measure_ways",
        lambda size, sizes=(4,), **_: {
            way: {n: Timing((1.0,)) for n in sizes}
            for way in ("ring", "library")
        },
    )
    monkeypatch.setattr(
        groups, "measure_link", lambda: ({}, c.Link(1.0, 2.0, 3.0))
    )
    for name, compare in c.COMPARISONS.items():
        assert list(compare()) == [ranks.backend(2), "our ring"], name
    found = json.loads(json.dumps(c.record()))
    assert (found["alpha"], found["beta"], found["gamma"]) == (1, 2, 3)
    assert found["bus_bandwidth"]["ring, 2 ranks"] == {"16": 16.0}


def reduce_in_buckets(most: int) -> tuple[int, list[list[float]]]:
    shapes = [(2, 3), (1,), (4,), (0,), (2, 2)]
    tensors = [
        torch.full(shape, float(torch.distributed.get_rank() + i))
        for i, shape in enumerate(shapes)
    ]
    calls = c.reduce_buckets(tensors, most)
    assert [tuple(t.shape) for t in tensors] == shapes
    return calls, [t.flatten().tolist() for t in tensors]


def in_several_buckets() -> list[tuple[int, list[list[float]]]]:
    return [reduce_in_buckets(most) for most in (0, 24, 10**6)]


def test_buckets_sum_every_tensor():
    expected = [[1.0] * 6, [3.0], [5.0] * 4, [], [9.0] * 4]
    for found in ranks.run(in_several_buckets, 2, threads=1):
        assert [calls for calls, _ in found] == [5, 3, 1]
        assert all(sums == expected for _, sums in found)


def test_buckets_are_timed_by_their_size():
    found = c.compare_buckets((0, 64), count=64, tensors=4, repeats=1)
    assert list(found) == [0, 64]


# What goes wrong


def fails(function, *args, size=2, seconds=60):
    with pytest.raises(ranks.RankError) as caught:
        ranks.run(function, size, *args, seconds=seconds, threads=1)
    return str(caught.value)


def test_another_order_hangs_and_both_places_are_told():
    first, _, second = fails(c.other_order, seconds=3).partition("Rank 1 is")
    assert "all_reduce" in first
    assert "broadcast" in second


def test_a_skipped_call_hangs_and_both_places_are_told():
    first, _, second = fails(c.skipped, (2, 3), seconds=3).partition("Rank 1")
    assert "barrier" in first
    assert "skipped" in second


def test_sending_first_hangs():
    text = fails(
        c.in_group, c.send_then_receive, [torch.ones(1)] * 2, seconds=3
    )
    assert text.count("in send_then_receive") == 2


def test_the_missing_rank_is_named():
    text = fails(c.roll_call, 2, 0.2, size=3)
    assert "Rank 0 of 3 raised" in text
    assert "Ranks 2 failed to pass monitoredBarrier" in text


def test_nobody_is_missing():
    assert ranks.run(c.roll_call, 2, -1, 20.0, threads=1) == ["all came"] * 2


def test_sums_are_mixed_up_in_silence_unless_checked():
    mixed = {"loss": 100.5, "pictures": 100.5}
    assert ranks.run(c.two_sums, 2, threads=1) == [mixed] * 2
    text = fails(c.two_sums, True)
    assert "MismatchError: ranks differ: rank 0 sums 'loss'" in text
    assert "rank 1 sums 'pictures'" in text


PAIRS = [
    (torch.ones(3), torch.ones(3, dtype=torch.int32), "torch.int32"),
    (torch.ones(2, 3), torch.ones(3, 2), r"shape (3, 2)"),
    (torch.ones(1000), torch.ones(2000), "shape (2000,)"),
]


@pytest.mark.parametrize(("one", "other", "word"), PAIRS)
def test_the_check_names_who_differs(one, other, word):
    text = fails(c.different, one, other, True)
    assert "MismatchError: ranks differ: rank 0 sums 'values'" in text
    assert word in text.rpartition("rank 1 sums")[2]


def test_gloo_adds_integers_as_if_they_were_floats():
    """If this fails, gloo compares types, and the page can say so."""
    one, other, _ = PAIRS[0]
    first, second = ranks.run(c.different, 2, one, other, threads=1)
    assert not torch.equal(first, torch.full((3,), 2.0))
    assert second.dtype == torch.int32
    assert (second > 1_000_000).all()


def agree(values: torch.Tensor, mean: bool) -> torch.Tensor:
    c.checked_all_reduce(values, "values", mean)
    return values


def test_the_check_lets_pass_what_is_right():
    sums = ranks.run(agree, 3, torch.ones(2), False, threads=1)
    assert [x.tolist() for x in sums] == [[3, 3]] * 3
    means = ranks.run(agree, 2, torch.ones(2), True, threads=1)
    assert [x.tolist() for x in means] == [[1, 1]] * 2


def test_the_mean_of_integers_is_refused():
    with pytest.raises(TypeError, match="mean of 'n' would be cut to .*int64"):
        c.checked_all_reduce(torch.tensor([1]), "n", mean=True)


def test_what_is_under_way_must_not_be_touched():
    assert ranks.run(c.overwritten, 2, False, threads=1) == [2, 2]
    assert ranks.run(c.overwritten, 2, True, threads=1) == [3, 3]


def integers() -> tuple[int, tuple[int, float]]:
    return c.small_integers(), c.integer_mean()


def test_integers_overflow_and_are_cut():
    found = ranks.run(integers, 2, threads=1)
    assert found == [(-56, (3, 3.5))] * 2


# Exercises


@pytest.mark.parametrize(
    "name", ["doubling_all_reduce", "chain_broadcast", "crossing"]
)
def test_solutions_pass(name):
    task = EXERCISES[PLACE + name]
    task.check(task.solution)


def no_exchange(net, values):
    other = net.rank ^ 1
    if other < net.size:
        net.receive(values, other)
        net.send(values, other)
    return values


WRONG = {
    "doubling_all_reduce": [
        (no_exchange, "nobody can go on"),
        (lambda net, values: values, r"rank 0 of 2 has .* expected"),
        (lambda net, values: None, "returned nothing"),
        (c.ring_all_reduce, "expected 1 each"),
    ],
    "chain_broadcast": [
        (lambda net, values, count: values, "rank 1 of 2 has"),
        (lambda net, values, count: None, "returned nothing"),
        (
            lambda net, values, count: c.tree_broadcast(net, values),
            "2 ranks and 3 pieces: messages",
        ),
    ],
    "crossing": [
        (lambda size, alpha, beta: alpha / beta, "there the ring takes"),
        (
            lambda size, alpha, beta: (
                practice.crossing(size, alpha, beta) or -1
            ),
            "expected 0",
        ),
    ],
}


@pytest.mark.parametrize(
    ("name", "candidate", "message"),
    [(name, *case) for name, cases in WRONG.items() for case in cases],
)
def test_wrong_answers_are_told(name, candidate, message):
    with pytest.raises(AssertionError, match=message):
        EXERCISES[PLACE + name].check(candidate)
