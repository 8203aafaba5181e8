"""A group of ranks: all come home, and the guilty one is named."""

import multiprocessing
import os
import select
import signal
import subprocess
import sys

import psutil
import pytest
import torch
import torch.distributed as dist

from parallel_ai.many_machines.clusters import networks
from parallel_ai.toolbox import ranks

METHODS = sorted(multiprocessing.get_all_start_methods())
LOCAL = {"127.0.0.1", "::1"}


def add_up(value: int) -> tuple[int, int, float, int]:
    total = torch.tensor([float(value + dist.get_rank())])
    dist.all_reduce(total)
    return (
        dist.get_rank(),
        dist.get_world_size(),
        total.item(),
        torch.get_num_threads(),
    )


def raise_in(guilty: int) -> None:
    if dist.get_rank() == guilty:
        raise ValueError(f"no picture number {guilty}")
    dist.barrier()


def die_in(guilty: int) -> None:
    if dist.get_rank() == guilty:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.barrier()


def leave_in(guilty: int) -> None:
    if dist.get_rank() == guilty:
        os._exit(7)
    dist.barrier()


def skip_a_collective() -> None:
    if dist.get_rank() == 0:
        dist.all_reduce(torch.zeros(1))
    else:
        wait_for_ever()


def wait_for_ever() -> None:
    signal.pause()


def addresses() -> list[str]:
    dist.all_reduce(torch.zeros(1))  # connects every pair
    found = psutil.Process().net_connections("inet")
    return [c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN]


def whose_device() -> str:
    return str(ranks.device())


@pytest.mark.parametrize("method", METHODS)
def test_results_come_in_the_order_of_the_ranks(method):
    found = ranks.run(add_up, 2, 10, method=method, threads=1)
    assert found == [(0, 2, 21.0, 1), (1, 2, 21.0, 1)]


@pytest.mark.parametrize("size", [1, 3])
def test_any_size(size):
    found = ranks.run(add_up, size, 1)
    assert [one[:2] for one in found] == [(r, size) for r in range(size)]
    assert {one[2] for one in found} == {size + size * (size - 1) / 2}


def test_no_rank_is_refused():
    with pytest.raises(ValueError, match="at least 1 rank, got 0"):
        ranks.run(add_up, 0, 1)


@pytest.mark.parametrize("guilty", [0, 2])
def test_the_guilty_rank_is_named_with_its_traceback(guilty):
    with pytest.raises(ranks.RankError) as caught:
        ranks.run(raise_in, 3, guilty)
    assert caught.value.ranks == (guilty,)
    text = str(caught.value)
    assert f"Rank {guilty} of 3 raised" in text
    assert f"ValueError: no picture number {guilty}" in text
    assert "raise_in" in text  # where


def test_a_killed_rank_is_named_with_its_signal():
    with pytest.raises(ranks.RankError, match="Rank 1 was ended by SIGKILL"):
        ranks.run(die_in, 2, 1)


def test_a_rank_that_leaves_is_named_with_its_code():
    with pytest.raises(ranks.RankError, match="Rank 0 ended with code 7"):
        ranks.run(leave_in, 2, 0)


def test_a_hang_ends_and_tells_where_each_rank_waits():
    with pytest.raises(ranks.RankError) as caught:
        ranks.run(skip_a_collective, 2, seconds=4)
    text = str(caught.value)
    assert caught.value.ranks == (0, 1)
    assert "2 of 2 ranks had not ended: 0, 1" in text
    first, _, second = text.partition("Rank 1 is here:")
    assert "all_reduce" in first
    assert "wait_for_ever" in second


def test_gloo_listens_on_loopback_alone():
    found = ranks.run(addresses, 2)
    assert any(found)
    assert {address for one in found for address in one} <= LOCAL


def test_the_store_listens_on_loopback_alone():
    before = sockets()
    store = ranks.listening_store(1)
    new = sockets() - before
    assert {(ip, port) for ip, port in new} == {("127.0.0.1", store.port)}
    other = dist.TCPStore("127.0.0.1", store.port, is_master=False)
    other.set("who", "rank 0")
    assert store.get("who") == b"rank 0"
    del other, store


def plain_store() -> list[str]:
    with networks.lan([]):  # where nobody is who could connect
        store = dist.TCPStore("127.0.0.1", 0, 1, True, wait_for_workers=False)
        return [ip for ip, port in sockets() if port == store.port]


@pytest.mark.skipif(bool(networks.forbidden()), reason="no namespaces here")
def test_a_plain_store_listens_everywhere():
    """The reason for `listening_store`; if this fails, it may go."""
    found = networks.inside(f"{__name__}:plain_store")
    assert found
    assert not set(found) <= LOCAL


def sockets() -> set[tuple[str, int]]:
    found = psutil.Process().net_connections("inet")
    return {(*c.laddr,) for c in found if c.status == psutil.CONN_LISTEN}


def test_a_group_without_gpus_uses_gloo_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert ranks.backend(1) == "gloo"
    assert ranks.run(whose_device, 1) == ["cpu"]


@pytest.mark.parametrize(
    ("gpus", "size", "wanted", "expected"),
    [
        (2, 2, None, "nccl"),
        (1, 2, None, "gloo"),  # two ranks cannot share a GPU
        (4, 2, "cpu", "gloo"),
        (4, 2, "cuda:1", "nccl"),
    ],
)
def test_nccl_needs_a_gpu_for_each_rank(
    monkeypatch, gpus, size, wanted, expected
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    if wanted:
        monkeypatch.setenv("PARALLEL_AI_DEVICE", wanted)
    else:
        monkeypatch.delenv("PARALLEL_AI_DEVICE", raising=False)
    assert ranks.backend(size) == expected


def test_the_environment_is_restored(monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    monkeypatch.delenv("NCCL_SOCKET_IFNAME", raising=False)
    with ranks.on_loopback():
        assert os.environ["GLOO_SOCKET_IFNAME"] == ranks.LOOPBACK
        assert os.environ["NCCL_SOCKET_IFNAME"] == ranks.LOOPBACK
    assert os.environ["GLOO_SOCKET_IFNAME"] == "eth7"
    assert "NCCL_SOCKET_IFNAME" not in os.environ


PROGRAM = """
import os, sys
sys.path.insert(0, {folder!r})
from waiting import tell
from parallel_ai.many_machines.clusters import networks
from parallel_ai.toolbox import ranks
if __name__ == "__main__":
    ranks.run(tell, 2, {folder!r})
"""
WAITING = """
import os, pathlib, signal

def tell(folder):
    with open(pathlib.Path(folder, "fifo"), "w") as fifo:
        fifo.write(f"{os.getpid()}\\n")
    signal.pause()
"""


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_ranks_end_with_the_program_that_started_them(tmp_path, kind):
    (tmp_path / "waiting.py").write_text(WAITING)
    program = PROGRAM.format(folder=str(tmp_path))
    (tmp_path / "program.py").write_text(program)
    os.mkfifo(tmp_path / "fifo")
    fifo = os.open(tmp_path / "fifo", os.O_RDWR)
    with subprocess.Popen(
        [sys.executable, tmp_path / "program.py"], stderr=subprocess.DEVNULL
    ) as child:
        said = b""
        while said.count(b"\n") < 2:
            assert select.select([fifo], [], [], 60)[0], "no rank began"
            said += os.read(fifo, 100)
        os.close(fifo)
        team = [psutil.Process(int(number)) for number in said.split()]
        child.send_signal(kind)
        child.wait(60)
    _, alive = psutil.wait_procs(team, timeout=30)
    assert not alive


def test_a_free_port_each_time():
    stores = [ranks.listening_store(1) for _ in range(3)]
    assert len({store.port for store in stores}) == 3
    del stores
