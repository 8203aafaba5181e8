import pytest
import torch

from parallel_ai.toolbox import device


def test_the_choice_computes():
    chosen = device.choose()
    assert torch.ones(3, device=chosen).sum().item() == 3


def test_a_name_wins_over_the_variable(monkeypatch):
    monkeypatch.setenv(device.WANTED, "nonsense")
    assert device.choose("cpu").type == "cpu"


def test_the_variable_wins_over_the_accelerator(monkeypatch):
    monkeypatch.setenv(device.WANTED, "cpu")
    assert device.choose().type == "cpu"


@pytest.mark.parametrize("wanted", ["nonsense", "cuda:99", "meta:x"])
def test_a_missing_device_says_what_there_is(wanted):
    with pytest.raises(device.DeviceError, match=r"Devices: cpu.*unset"):
        device.choose(wanted)


def test_every_device_has_a_name():
    assert device.name(torch.device("cpu"))
    assert device.name(device.choose())
    assert device.name(torch.device("mps")) == "MPS"


def test_finished_returns_what_the_job_returns():
    chosen = device.choose()
    job = device.finished(lambda x, *, by: x * by, chosen)
    assert job(torch.ones(2, device=chosen), by=3).tolist() == [3, 3]


def test_finish_waits_for_an_accelerator(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    device.finish(torch.device("cpu"))
    assert waited == []
    device.finish(torch.device("cuda"))
    assert waited == [torch.device("cuda")]


def test_a_full_memory_says_what_to_reduce():
    with (
        pytest.raises(device.OutOfMemoryError, match="batch 8.*Use less"),
        device.room_for("batch 8", "use less"),
    ):
        torch.empty(1 << 60, dtype=torch.uint8)


def test_a_full_gpu_says_what_to_reduce(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1e9, 80e9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    with (
        pytest.raises(device.OutOfMemoryError, match="on H100: 1.* of 80"),
        device.room_for("batch 8", "use less"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_other_errors_pass():
    with (
        pytest.raises(RuntimeError, match="shape"),
        device.room_for("a", "b"),
    ):
        raise RuntimeError("shape")


def test_threads_are_given_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), device.threads(before + 1):
        1 / (torch.get_num_threads() - before - 1)
    assert torch.get_num_threads() == before
