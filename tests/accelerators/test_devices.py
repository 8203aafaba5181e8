"""CPU or GPU: models against made-up devices, formats against integers."""

import json
import math
import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from parallel_ai.accelerators import devices
from parallel_ai.accelerators.devices import kernels, practice
from parallel_ai.toolbox import device as toolbox_device
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.attempts import attempt
from parallel_ai.toolbox.exercises import EXERCISES
from parallel_ai.toolbox.stopwatch import Timing

CPU = torch.device("cpu")
DEVICES = [CPU]
if toolbox_device.choose().type != "cpu":
    DEVICES.append(toolbox_device.choose())
every_device = pytest.mark.parametrize("device", DEVICES, ids=str)
KINDS = [name for name in devices.FORMATS if name != "float64"]
TYPES = [name for name in KINDS if name != "tf32"]
SHEET = devices.DATA_SHEETS["NVIDIA H200 SXM"]
LONG = 60  # seconds: a time limit, never a time that is expected

with devices.Waits():  # PyTorch's first mode sets an environment variable
    torch.ones(1).item()


# Peaks


@pytest.mark.parametrize("peaks", devices.DATA_SHEETS.values(), ids=str)
def test_data_sheets_are_in_order(peaks):
    """Fewer bits are never slower, and the link is the narrowest road."""
    order = ("float64", "float32", "tf32", "bfloat16", "float8")
    rates = [peaks.rates[kind] for kind in order if kind in peaks.rates]
    assert rates == sorted(rates)
    assert peaks.link < peaks.memory / 10
    assert peaks.source != "measured"


def test_every_source_is_in_the_books_references():
    book = (
        (machine.Path(__file__).parents[2] / "book" / "references.bib")
        .read_text("utf8")
        .split("{")
    )
    keys = {part.partition(",")[0] for part in book}
    assert {p.source for p in devices.DATA_SHEETS.values()} <= keys


def test_the_roofs_meet_at_the_ridge():
    ridge = SHEET.ridge("bfloat16")
    assert ridge == pytest.approx(206, abs=1)
    below, at, above = SHEET.attainable(
        np.array([ridge / 2, ridge, ridge * 2]), "bfloat16"
    )
    assert below == pytest.approx(SHEET.rates["bfloat16"] / 2)
    assert at == pytest.approx(above) == SHEET.rates["bfloat16"]


def test_a_share_of_the_data_sheet():
    rates = {"float32": 33.5e12, "bfloat16": 989e12, "made up": 1.0}
    assert devices.share_of_sheet("NVIDIA H200", rates) == {
        "float32": 0.5, "bfloat16": 1,
    }  # fmt: skip
    assert devices.share_of_sheet("a toaster", rates) == {}


@pytest.mark.parametrize(
    ("kind", "dtype", "allowed"),
    [
        ("tf32", torch.float32, "high"),
        ("float32", torch.float32, "highest"),
        ("bfloat16", torch.bfloat16, "highest"),
    ],
)
def test_tf32_is_allowed_where_it_is_asked_for(kind, dtype, allowed):
    before = torch.get_float32_matmul_precision()
    with suppress(KeyError), devices.precision(kind) as given_type:
        assert given_type is dtype
        assert torch.get_float32_matmul_precision() == allowed
        raise KeyError
    assert torch.get_float32_matmul_precision() == before


@every_device
def test_roofs_are_measured_for_each_format(device, monkeypatch):
    monkeypatch.setattr(devices.peaks, "stream_size", lambda device: 1000)
    peaks = devices.measured_peaks(device, ("float32", "bfloat16"), (16, 32))
    assert set(peaks.rates) == {"float32", "bfloat16"}
    assert min(*peaks.rates.values(), peaks.memory) > 0
    assert (peaks.link is None) == (device.type == "cpu")


def test_a_format_without_a_unit_is_not_waited_for(monkeypatch):
    rates, tried = {"float32": 1e12, "bfloat16": 1e9}, []

    def product_rate(kind, size, device, repeats=5):
        tried.append((kind, size))
        return rates[kind]

    monkeypatch.setattr(devices.peaks, "product_rate", product_rate)
    monkeypatch.setattr(devices.peaks, "memory_rate", lambda device: 1e9)
    with toolbox_device.threads(1):
        peaks = devices.measured_peaks(torch.device("cpu"), tuple(rates))
    assert peaks.rates == rates
    assert tried == [
        ("float32", 128),
        ("float32", 512),
        ("float32", 1024),
        ("bfloat16", 128),
    ]


@pytest.mark.parametrize(
    ("free", "cache", "numbers"),
    [
        (64 * 2**30, 32 * 2**20, 2**27 // 4),
        (64 * 2**30, 260 * 2**20, 260 * 2**20 // 4),
        (64 * 2**30, 2**30, 3 * 2**27 // 4),
        (2**30, 260 * 2**20, 2**27 // 4),
    ],
)
def test_what_is_streamed_exceeds_caches_and_fits(
    monkeypatch, free, cache, numbers
):
    monkeypatch.setattr(machine, "memory", lambda: free)
    monkeypatch.setattr(machine, "caches", lambda: {1: 2**15, 3: cache})
    assert devices.stream_size(CPU) == numbers


# Sweeps


@every_device
@pytest.mark.parametrize("transfer", [False, True])
@pytest.mark.parametrize("n", [1, 7])
def test_jobs_compute_what_they_say(device, transfer, n):
    product = devices.job(devices.PRODUCT, n, device, transfer)()
    added = devices.job(devices.SUM, n, device, transfer)()
    assert product.shape == (n, n)
    assert added.shape == (n,)
    where = "cpu" if transfer else device.type
    assert product.device.type == added.device.type == where


def test_operations_count():
    assert devices.PRODUCT.operations(10) == 2000
    assert devices.PRODUCT.moved(10) == 3 * 100 * 4
    assert devices.SUM.intensity(5) == pytest.approx(1 / 12)
    assert devices.PRODUCT.intensity(600) == pytest.approx(100)


@every_device
def test_a_sweep_has_a_time_for_each_size(device):
    seconds = devices.sweep(devices.SUM, [1, 10, 100], device, repeats=1)
    assert len(seconds) == 3
    assert min(seconds) > 0
    assert devices.sweep(devices.SUM, [], device) == []


@given(
    launch=st.floats(1e-7, 1e-3),
    slow=st.floats(1e6, 1e9),
    faster=st.floats(1.1, 1000),
)
def test_the_crossing_lies_where_the_two_models_meet(launch, slow, faster):
    """One way costs n / slow, the other launch + n / fast."""
    fast = slow * faster
    meet = launch / (1 / slow - 1 / fast)
    sizes = np.geomspace(meet / 1e3, meet * 1e3, 400)
    at = devices.crossing(sizes, sizes / slow, launch + sizes / fast)
    assert at == pytest.approx(meet, rel=0.02)


def test_the_crossing_of_power_laws_is_exact():
    sizes = [1, 10, 100, 1000]
    one, two = [n**2 for n in sizes], [30 * n for n in sizes]
    assert devices.crossing(sizes, one, two) == pytest.approx(30)


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ([2, 2, 2], [1, 1, 1], 1),
        ([1, 1, 1], [2, 2, 2], None),
        ([1, 1, 1], [1, 1, 1], None),
        ([2, 1, 2], [1, 2, 1], 20**0.5),
        ([1, 2, 1], [2, 1, 2], None),
    ],
)
def test_a_crossing_is_the_last_one(one, two, expected):
    assert devices.crossing([1, 2, 10], one, two) == (
        expected if expected is None else pytest.approx(expected)
    )


@pytest.mark.parametrize("lengths", [(0, 0, 0), (2, 2, 1), (1, 2, 2)])
def test_a_crossing_needs_a_time_for_each_size(lengths):
    with pytest.raises(ValueError, match="as many times as sizes"):
        devices.crossing(*([1.0] * n for n in lengths))


def test_predictions_follow_the_slower_part():
    slow = devices.Peaks("made up", {"float32": 1e9}, 1e9, link=1e8)
    n = 1000
    seconds = devices.predict(devices.PRODUCT, [n], slow, 0.5)[0]
    assert seconds == pytest.approx(0.5 + 2)  # arithmetic
    seconds = devices.predict(devices.SUM, [n], slow, 0.5)[0]
    assert seconds == pytest.approx(0.5 + 12e-6)  # memory
    seconds = devices.predict(devices.SUM, [n], slow, 0.5, transfer=True)[0]
    assert seconds == pytest.approx(4 * 0.5 + 12e-6 + 12e-5)
    seconds = devices.predict(
        devices.SUM, [n], slow, 0, transfer=True, host_memory=1e6
    )[0]
    assert seconds == pytest.approx(12e-6 + 12e-3)


@given(
    n=st.floats(1, 1e9),
    memory=st.floats(1e8, 1e12),
    launch=st.floats(0, 1e-3),
)
def test_one_pass_over_what_lies_elsewhere_never_pays(n, memory, launch):
    """Whatever the device: the CPU's memory has to be passed anyway."""
    own = devices.Peaks("CPU", {"float32": math.inf}, memory)
    stay = devices.predict(devices.SUM, [n], own, 0)[0]
    go = devices.predict(
        devices.SUM, [n], SHEET, launch, transfer=True, host_memory=memory
    )[0]
    assert go >= stay


def test_the_exercise_about_renting_has_the_solution_that_it_says():
    n, three = 20_000, devices.PRODUCT.carried(20_000)
    t4 = devices.DATA_SHEETS["NVIDIA T4"]
    work = devices.PRODUCT.operations(n)
    assert work == pytest.approx(1.6e13)
    assert three == pytest.approx(3 * 1.6e9)
    assert work / SHEET.rates["float32"] == pytest.approx(0.24, rel=0.01)
    assert three / SHEET.link == pytest.approx(0.075)
    assert work / SHEET.rates["bfloat16"] == pytest.approx(0.016, rel=0.02)
    assert three / 2 / SHEET.link * 2 / 3 > work / SHEET.rates["bfloat16"]
    assert three / 2 / 450e9 == pytest.approx(0.0053, rel=0.01)
    assert work / t4.rates["float32"] == pytest.approx(2, rel=0.02)
    assert work / t4.rates["float16"] == pytest.approx(0.25, rel=0.02)
    assert three / 2 / t4.link == pytest.approx(0.15)


# Launching


def test_a_launch_returns_before_the_work_is_done():
    release, done = threading.Event(), []

    def work():
        assert release.wait(LONG)
        done.append("work")

    with devices.Stream() as stream:
        stream.launch(work)
        assert done == []
        release.set()
        stream.synchronize()
        assert done == ["work"]
        assert stream.waits == 1


def test_the_first_clock_stops_at_the_launch():
    release, order = threading.Event(), []

    def launch():
        stream.launch(lambda: order.append(release.wait(LONG)))
        order.append("launched")

    def finish():
        release.set()
        stream.synchronize()

    with devices.Stream() as stream:
        launched, done = devices.two_clocks(launch, finish)
    assert order == ["launched", True]
    assert 0 < launched < done


def test_a_stream_keeps_the_order():
    done = []
    with devices.Stream() as stream:
        for number in range(50):
            stream.launch(done.append, number, name=str(number))
    assert done == list(range(50))
    assert [span.name for span in stream.spans] == [str(n) for n in range(50)]
    stops = [span.stop for span in stream.spans[:-1]]
    assert all(
        stop <= span.start
        for stop, span in zip(stops, stream.spans[1:], strict=True)
    )


def test_an_error_is_raised_by_a_later_call():
    done = []
    with devices.Stream() as stream:
        stream.launch(lambda: 1 / 0)
        stream.launch(done.append, "left undone")
        with pytest.raises(ZeroDivisionError):
            stream.synchronize()
        assert done == []
        stream.launch(done.append, "after")
        stream.synchronize()
    assert done == ["after"]


def test_nothing_launched_is_nothing_to_wait_for():
    with devices.Stream() as stream:
        stream.synchronize()
    assert stream.spans == []


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("wait_each", [False, True])
def test_steps_wait_as_often_as_asked(steps, wait_each):
    computed = []
    with devices.Stream() as stream:
        host = devices.run_steps(
            stream, steps, lambda i: i * i, computed.append,
            wait_each=wait_each,
        )  # fmt: skip
    assert computed == [i * i for i in range(steps)]
    assert stream.waits == 1 + steps * wait_each
    names = [span.name for span in host]
    assert names.count("prepare") == steps == len(stream.spans)
    assert names.count("wait") == stream.waits


def test_without_waits_the_host_runs_ahead():
    """The device may begin only when the host has prepared everything."""
    prepared = Future()

    def prepare(step):
        if step == 3:
            prepared.set_result(None)
        return step

    def compute(step):
        prepared.result(LONG)

    with devices.Stream() as stream:
        devices.run_steps(stream, 4, prepare, compute, wait_each=False)
    assert len(stream.spans) == 4


@every_device
def test_clocks_of_a_device(device):
    x = torch.rand(50, 50, device=device)
    assert devices.device_seconds(lambda: x @ x, device) > 0
    assert devices.launch_seconds(device, 5) > 0


@every_device
def test_waits_are_counted(device):
    x = torch.rand(10, device=device)
    cases = {
        "item": [lambda: x.sum().item(), lambda: float(x[0]),
                 lambda: bool(x.max() > 2)],
        "index by a mask": [lambda: x[x > 0.5]],
        "nonzero": [lambda: x.nonzero()],
        "masked_select": [lambda: x.masked_select(x > 0.5)],
        "unique": [lambda: x.unique()],
        "equal": [lambda: torch.equal(x, x)],
    }  # fmt: skip
    for name, jobs in cases.items():
        for job in jobs:
            with devices.Waits() as waits:
                job()
            assert waits.found[name] == 1, name
    with devices.Waits() as waits:
        x.add_(1)
        torch.where(x > 0.5, x, 0).sum()
        x[torch.arange(3, device=device)]
    assert waits.found == {}


@pytest.mark.parametrize("count", [1, 5])
def test_one_wait_or_one_for_each(count):
    losses = list(torch.rand(count))
    with devices.Waits() as each:
        one = devices.mean_by_item(losses)
    with devices.Waits() as once:
        two = devices.mean_at_once(losses)
    assert one == pytest.approx(two)
    assert each.found == {"item": count}
    assert once.found == {"item": 1}


# Formats


@pytest.mark.parametrize("kind", TYPES)
def test_formats_are_those_of_pytorch(kind):
    mine, theirs = devices.FORMATS[kind], torch.finfo(getattr(torch, kind))
    assert mine.bits == theirs.bits
    assert mine.step == theirs.eps
    assert mine.largest == theirs.max
    smallest = torch.tensor(mine.smallest, dtype=torch.float64)
    assert devices.rounded(smallest, kind).item() == mine.smallest
    assert devices.rounded(smallest / 2.1, kind).item() == 0


def test_tf32_has_nineteen_bits():
    tf32 = devices.FORMATS["tf32"]
    assert (tf32.bits, tf32.step) == (19, devices.FORMATS["float16"].step)
    assert 3.4e38 < tf32.largest < devices.FORMATS["float32"].largest


@given(st.floats(2.0**-14, 65000, width=32), st.sampled_from([-1, 1]))
def test_tf32_rounds_as_float16_does_where_both_reach(value, sign):
    x = torch.tensor([sign * value])
    assert torch.equal(
        devices.rounded(x, "tf32"), devices.rounded(x, "float16")
    )


@given(st.floats(width=32), st.sampled_from(KINDS))
def test_rounding_twice_is_rounding_once(value, kind):
    once = devices.rounded(torch.tensor([value]), kind)
    twice = devices.rounded(once, kind)
    assert torch.equal(once.isnan(), twice.isnan())
    assert torch.equal(once.nan_to_num(), twice.nan_to_num())


@given(st.floats(2.0**-6, 400, width=32), st.sampled_from(KINDS))
def test_rounding_errs_by_half_a_step_at_most(value, kind):
    x = torch.tensor([value])
    error = (devices.rounded(x, kind) - x).abs().item()
    assert error <= value * devices.FORMATS[kind].step / 2


def test_tf32_keeps_what_is_not_finite():
    x = torch.tensor([math.inf, -math.inf, math.nan])
    assert devices.rounded(x, "tf32")[:2].tolist() == x[:2].tolist()
    assert devices.rounded(x, "tf32")[2].isnan()


@pytest.mark.parametrize("kind", KINDS)
def test_counting_stops_where_numbers_lie_two_apart(kind):
    stop = devices.stops_counting(kind)
    assert stop == 2 ** (devices.FORMATS[kind].fraction + 1)


def test_the_quiz_is_right_about_bfloat16():
    x = torch.tensor(256.0, dtype=torch.bfloat16)
    for _ in range(10):
        x += 1
    assert x.item() == 256


def test_a_running_sum_stalls():
    ones = torch.ones(300)
    assert devices.running_sum(ones, "bfloat16") == 256
    assert devices.running_sum(ones, "float16") == 300
    assert devices.running_sum(ones[:0], "float16") == 0


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "float32"])
@pytest.mark.parametrize("inner", [64, 1024])
def test_the_error_of_a_product_is_foretold(kind, inner):
    found = devices.product_error(inner, kind)
    assert found == pytest.approx(devices.expected_error(kind), rel=0.1)


def test_short_sums_make_the_error_grow():
    careful = devices.product_error(1024, "bfloat16")
    short, long = (
        devices.product_error(n, "bfloat16", "bfloat16") for n in (64, 1024)
    )
    assert careful < short < long / 2


@given(st.floats(1e-30, 1e30), st.sampled_from(KINDS))
def test_a_scale_is_a_power_of_two_and_fits(most, kind):
    values = torch.tensor([most, -most / 3, 0.0])
    back, scale = devices.to_scale(values, kind)
    assert math.frexp(scale)[0] == 0.5
    largest = devices.FORMATS[kind].largest
    assert largest / 2.01 < float(values.max()) * scale <= largest * 1.001
    assert torch.allclose(back, values, rtol=devices.FORMATS[kind].step)


@pytest.mark.parametrize("value", [0.0, math.inf, math.nan])
def test_nothing_to_scale_by(value):
    with pytest.raises(ValueError, match="cannot scale"):
        devices.to_scale(torch.tensor([value, 0.0]), "float16")


def test_what_a_format_loses():
    values = torch.tensor([0.0, 1e-9, 5e-4, 1.0])
    assert devices.lost(values, "float16") == pytest.approx(1 / 3)
    assert devices.lost(values, "float8_e4m3fn") == pytest.approx(2 / 3)
    assert devices.lost(values, "bfloat16") == 0


def test_gradients_need_their_scales():
    rng = np.random.default_rng(0)
    state = torch.get_rng_state()
    layers = devices.gradients(
        rng.integers(0, 256, (32, 28, 28), np.uint8), rng.integers(0, 10, 32)
    )
    assert torch.equal(state, torch.get_rng_state())
    assert len(layers) == 16
    every = torch.cat(layers)
    assert devices.lost(every, "float8_e4m3fn") > 0.9
    for part in layers:
        scaled, _ = devices.to_scale(part, "float8_e4m3fn")
        assert (scaled[part != 0] == 0).float().mean() < 0.2


# Serving


def test_networks_of_a_seed():
    state = torch.get_rng_state()
    one, two = devices.dense((784, 5, 10)), devices.dense((784, 5, 10))
    assert torch.equal(state, torch.get_rng_state())
    x = torch.rand(3, 28, 28)
    assert torch.equal(one(x), two(x))
    assert one(x).shape == (3, 10)
    assert (one(x) < 0).any()  # no ReLU behind the last layer


@every_device
def test_batches_are_timed_for_each_size(device):
    model, x = devices.dense((784, 5, 10)), torch.rand(4, 784)
    assert len(devices.batch_seconds(model, x, (1, 4), device, 1)) == 2
    with pytest.raises(ValueError, match="need as many pictures, there are 4"):
        devices.batch_seconds(model, x, (1, 8), device)


def test_small_batches_wait_for_the_weights():
    model = devices.dense((100, 100))
    slow = devices.Peaks("made up", {"float32": 1e6}, 1e6)
    weights = 100 * 100 + 100
    assert devices.least_batch_seconds(model, 1, slow) == pytest.approx(
        4 * weights / 1e6
    )
    assert devices.least_batch_seconds(model, 10, slow) == pytest.approx(
        20 * weights / 1e6
    )


def test_a_server_takes_who_waits():
    come = np.array([0.0, 0.1, 0.2, 0.3, 5.0])
    served = devices.serve(come, lambda size: 1.0, 2)
    assert served.batches == [1, 2, 1, 1]
    assert served.departures.tolist() == [1, 2, 2, 3, 6]
    assert served.throughput == pytest.approx(5 / 6)
    alone = devices.serve(come, lambda size: 1.0, 1)
    assert alone.batches == [1] * 5
    assert alone.departures.tolist() == [1, 2, 3, 4, 6]


def test_a_batch_holds_somebody():
    with pytest.raises(ValueError, match="at least one request, not 0"):
        devices.serve(np.array([0.0]), lambda size: 1.0, 0)


@given(
    gaps=st.lists(st.floats(0.001, 10), min_size=1, max_size=60),
    largest=st.integers(1, 9),
    each=st.floats(0.001, 2),
)
def test_littles_law_holds_whatever_comes(gaps, largest, each):
    come = np.cumsum(gaps)
    served = devices.serve(come, lambda size: 0.5 + each * size, largest)
    assert sum(served.batches) == len(gaps)
    assert max(served.batches) <= largest
    assert (served.latencies > 0).all()
    assert served.inside() == pytest.approx(
        served.throughput * served.latencies.mean()
    )


def test_arrivals_have_their_rate():
    come = devices.arrivals(50, 20_000)
    assert (np.diff(come) > 0).all()
    assert 20_000 / come[-1] == pytest.approx(50, rel=0.05)
    gaps = np.diff(come)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    assert np.array_equal(come[:9], devices.arrivals(50, 9))


# Kernels


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="Triton is for Linux"
)
def test_kernels_agree_with_pytorch():
    found = devices.check_kernels(DEVICES[-1].type)
    assert {row["name"] for row in found} == {
        "scaled_relu", "product", "torch.matmul",
    }  # fmt: skip
    for row in found:
        limit = 1e-6 if row["name"] == "scaled_relu" else 1e-4
        assert row["difference"] <= limit, row


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="Triton is for Linux"
)
def test_kernels_refuse_what_does_not_fit():
    program = """
import os, sys
os.environ["TRITON_INTERPRET"] = "1"
import torch
from parallel_ai.accelerators import devices
print("too early:", devices.kernels.BLOCKS in sys.modules)
from parallel_ai.accelerators.devices import blocks

for job in (
    lambda: blocks.scaled_relu(torch.rand(3), torch.rand(4), 1.0),
    lambda: blocks.product(torch.rand(3, 2), torch.rand(3, 2)),
    lambda: blocks.product(torch.rand(3), torch.rand(3, 2)),
):
    try:
        job()
    except ValueError as error:
        print("ValueError", error)
turned = torch.arange(6.0).reshape(2, 3).t()
print(torch.equal(blocks.scaled_relu(turned, turned, 1.0), 2 * turned))
print(blocks.product(torch.rand(0, 3), torch.rand(3, 2)).shape)
"""
    printed = attempt(program, seconds=LONG)
    assert "too early: False" in printed
    assert printed.count("ValueError") == 3, printed
    assert "(3,) on cpu, (4,) on cpu" in printed
    assert "no product of (3, 2) and (3, 2)" in printed
    assert "True\ntorch.Size([0, 2])" in printed


def test_without_triton_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setattr(kernels.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(kernels.sys, "platform", "darwin")
    with pytest.raises(devices.KernelError, match="'darwin'.*on Linux or"):
        devices.check_kernels()


def done(code: int, out: str = "", error: str = ""):
    return lambda *args, **kwargs: subprocess.CompletedProcess(
        args, code, out, error
    )


def test_the_interpreter_is_asked_for_in_the_child_only(monkeypatch):
    seen = {}

    def run(command, **options):
        seen[command[-1]] = options["env"]["TRITON_INTERPRET"]
        return subprocess.CompletedProcess(command, 0, "[]", "")

    monkeypatch.setattr(kernels, "need_triton", lambda: None)
    monkeypatch.setattr(kernels.subprocess, "run", run)
    assert devices.check_kernels("cpu") == devices.check_kernels("cuda") == []
    assert seen == {"cpu": "1", "cuda": "0"}
    assert "TRITON_INTERPRET" not in os.environ


@pytest.mark.parametrize(
    ("error", "message"), [("", "no message"), ("a\nlast line\n", "last line")]
)
def test_a_failing_child_is_reported(monkeypatch, error, message):
    monkeypatch.setattr(kernels, "need_triton", lambda: None)
    monkeypatch.setattr(kernels.subprocess, "run", done(1, error=error))
    with pytest.raises(devices.KernelError, match=message):
        devices.check_kernels()


def test_a_child_that_hangs_is_reported(monkeypatch):
    def run(command, timeout, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(kernels, "need_triton", lambda: None)
    monkeypatch.setattr(kernels.subprocess, "run", run)
    with pytest.raises(devices.KernelError, match="within 7 seconds"):
        devices.check_kernels(seconds=7)


@every_device
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_fused_ways_agree(device, count):
    jobs = devices.fused_jobs(count, device)
    results = [work().clone() for work in jobs.values()]
    for other in results:
        assert torch.allclose(results[0], other, atol=1e-6)
    assert all(result.min() >= 0 for result in results if count)
    assert jobs.keys() <= devices.PASSES.keys()


# Records and comparisons


def test_a_record_is_json(monkeypatch):
    monkeypatch.setattr(devices.peaks, "stream_size", lambda device: 1000)
    monkeypatch.setattr(devices.peaks, "product_rate", lambda *given: 1e9)
    monkeypatch.setattr(devices.recording, "PRODUCTS", (2, 4))
    monkeypatch.setattr(devices.recording, "VECTORS", (8,))
    monkeypatch.setattr(devices.recording, "BATCHES", (1, 2))
    monkeypatch.setattr(devices.recording, "WIDTHS", (784, 4, 10))
    found = json.loads(json.dumps(devices.record(), allow_nan=False))
    assert found["device"] == found["peaks"]["name"]
    assert len(found["batch_seconds"]) == len(found["batches"]) == 2
    for name, count in (("product", 2), ("sum", 1)):
        part = found[name]
        lengths = {len(part[k]) for k in part}
        assert lengths == {count}
        assert set(part) == {"sizes", "computing", "with transfer"}


def test_comparisons_have_a_time_for_each_way(monkeypatch):
    monkeypatch.setattr(
        devices.recording, "measured_peaks", lambda *given: SHEET
    )
    formats = devices.compare_formats(8)
    assert next(iter(formats)) == "float32"
    assert all(isinstance(way, Timing) for way in formats.values())
    batches = devices.compare_batches(16)
    assert isinstance(batches.pop("limit of the device"), float)
    assert list(batches) == ["batches of 1", "batches of 8", "batches of 16"]


@pytest.mark.parametrize("size", [1, 3, 10])
def test_batches_do_not_change_the_answers(size):
    model, x = devices.dense((784, 6, 10)), torch.rand(10, 784)
    whole = devices.answer_in_batches(model, x, 10)
    assert torch.allclose(
        devices.answer_in_batches(model, x, size), whole, atol=1e-5
    )


# Exercises


@pytest.mark.parametrize(
    "name", ["break_even", "to_bfloat16", "pipeline_seconds"]
)
def test_solutions_pass_their_check(name):
    task = EXERCISES[f"{practice.__name__}.{name}"]
    task.check(task.solution)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("break_even", lambda slow, fast, launch, link: launch * slow),
        ("break_even", lambda slow, fast, launch, link: 1.0),
        (
            "to_bfloat16",
            lambda v: (
                v.view(np.uint32) & np.uint32(0xFFFF0000)
            ).view(np.float32),
        ),
        (
            "to_bfloat16",
            lambda v: (
                (v.view(np.uint32) + np.uint32(0x8000))
                & np.uint32(0xFFFF0000)
            ).view(np.float32),
        ),
        ("pipeline_seconds", lambda p, c, w: sum(p) + sum(c)),
        ("pipeline_seconds", lambda p, c, w: max(sum(p), sum(c))),
    ],
)  # fmt: skip
def test_checks_refuse_the_usual_mistakes(name, wrong):
    with pytest.raises(AssertionError):
        EXERCISES[f"{practice.__name__}.{name}"].check(wrong)


@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), max_size=12),
)
def test_waiting_never_helps(steps):
    prepare = [p for p, _ in steps]
    compute = [c for _, c in steps]
    free = devices.pipeline_seconds(prepare, compute, False)
    waiting = devices.pipeline_seconds(prepare, compute, True)
    assert waiting == pytest.approx(sum(prepare) + sum(compute))
    assert free <= waiting + 1e-9
    assume(steps)
    assert free >= max(sum(prepare), sum(compute)) - 1e-9
