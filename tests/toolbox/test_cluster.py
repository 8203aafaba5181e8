"""The cluster of this machine: whole, private, and gone afterwards."""

import os
import subprocess
import sys
from unittest import mock

import psutil
import pytest
import requests

from parallel_ai.toolbox import cluster, faults, machine
from parallel_ai.toolbox.faults import running

LISTENING = psutil.CONN_LISTEN


def listening() -> set[str]:
    """Addresses on which this process and its children accept connections."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == LISTENING
    }


@pytest.mark.parametrize("workers", [1, 3])
def test_tasks_run_in_worker_processes(workers):
    with cluster.local(workers) as client:
        pids = client.run(os.getpid)
        assert len(set(pids.values())) == workers
        assert os.getpid() not in pids.values()
        assert client.submit(sum, [1, 2, 3]).result(timeout=30) == 6


def test_nothing_listens_beyond_this_machine():
    with cluster.local(2, dashboard=True) as client:
        assert listening() == {cluster.LOOPBACK}
        answer = requests.get(client.dashboard_link, timeout=30)
        assert answer.status_code == 200


def test_without_a_dashboard_there_is_none():
    with cluster.local(1) as client:
        answer = requests.get(client.dashboard_link, timeout=30)
    assert answer.status_code == 404


def test_the_environment_is_as_it_was():
    before = dict(os.environ)
    with cluster.local(1) as client:
        (inside,) = client.run(os.getenv, "OMP_NUM_THREADS").values()
    assert inside == "1"
    assert dict(os.environ) == before


OLDER_SERVER = """
import multiprocessing
import os

import numpy as np
import threadpoolctl

from parallel_ai.toolbox import cluster


def threads():
    np.ones((2, 2)) @ np.ones((2, 2))
    found = threadpoolctl.threadpool_info()
    return {one["num_threads"] for one in found}


if __name__ == "__main__":
    multiprocessing.set_forkserver_preload(["numpy"])
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        print(*pool.apply(threads))
    with cluster.local(1) as client:
        first = client.run(os.getpid)
        print(*client.submit(threads, pure=False).result(60))
        client.restart_workers(list(first))
        assert client.run(os.getpid).values() != first.values()
        print(*client.submit(threads, pure=False).result(60))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are spawned")
def test_a_task_has_one_thread_in_a_worker_of_an_older_server(tmp_path):
    """That server has started BLAS before Dask set the environment."""
    program = tmp_path / "older.py"
    program.write_text(OLDER_SERVER, encoding="utf8")
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, *after = done.stdout.split()
    assert int(before) == machine.cpus()
    assert after == ["1", "1"]


def test_two_clusters_at_a_time():
    with cluster.local(1) as one, cluster.local(1) as other:
        assert one.submit(abs, -1).result(30) == 1
        assert other.submit(abs, -2).result(30) == 2
        assert one.scheduler.address != other.scheduler.address


def test_threads_and_memory_are_those_that_were_asked_for():
    with cluster.local(1, threads=2, memory="300MB") as client:
        (info,) = client.scheduler_info()["workers"].values()
        assert (info["nthreads"], info["memory_limit"]) == (2, 300_000_000)


@pytest.mark.parametrize(
    ("free", "each"),
    [
        (4_000_000_000, 1_200_000_000),
        (1_000_000_000, cluster.LEAST),  # less, and workers pause for ever
    ],
)
def test_workers_share_the_memory_that_is_free(monkeypatch, free, each):
    monkeypatch.setattr(machine, "memory", lambda: free)
    with cluster.local(2) as client:
        limits = {
            info["memory_limit"]
            for info in client.scheduler_info()["workers"].values()
        }
    assert limits == {each}


def test_everything_ends_by_an_error_too():
    pids: list[int] = []

    def fail():
        with cluster.local(2) as client:
            pids.extend(client.run(os.getpid).values())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert len(pids) == 2
    assert not any(map(psutil.pid_exists, pids))


@pytest.mark.parametrize("asked", [{"workers": 0}, {"threads": 0}])
def test_a_cluster_of_nobody(asked):
    with (
        pytest.raises(ValueError, match="at least one"),
        cluster.local(**asked),
    ):
        pass


def test_watching_sees_each_task_once_with_its_worker():
    with cluster.local(2) as client:
        with cluster.watched(client) as spans:
            assert spans == []
            client.gather(client.map(abs, range(-20, 0)))
        addresses = set(client.scheduler_info()["workers"])
        again = client.gather(client.map(abs, range(5, 9)))
    computed = [span for span in spans if span.action == "compute"]
    assert len(computed) == len({span.key for span in computed}) == 20
    assert {span.name for span in computed} == {"abs"}
    assert {span.worker for span in computed} <= addresses
    assert all(0 <= span.start <= span.stop for span in computed)
    assert again == [5, 6, 7, 8]


def test_watching_sees_more_than_dasks_thousand_tasks():
    with (
        cluster.local(1) as client,
        cluster.watched(client) as spans,
    ):
        client.gather(client.map(abs, range(1500)))
    assert len({span.key for span in spans}) == 1500


def test_watching_sees_errors():
    with cluster.local(1) as client, cluster.watched(client) as spans:
        future = client.submit(int, "x")
        assert future.exception(30) is not None
    assert [span.failed for span in spans if span.action == "compute"] == [
        True
    ]


@pytest.mark.parametrize(
    ("kind", "times"), [("worker killed (Dask)", 1), ("port taken", 3)]
)
def test_faults_are_noticed_or_survived(kind, times):
    inject, _ = running.KINDS[kind]
    with mock.patch.dict(os.environ):  # Dask sets some
        found = faults.counted(kind, inject, times, seed=1)
    assert (found.injected, found.lost) == (times, ())
    assert found.noticed + found.survived >= times


def test_waiting_has_an_end_and_says_for_what():
    with pytest.raises(TimeoutError, match=r"0\.05 s for Godot"):
        cluster.wait_until(lambda: None, "Godot", 0.05)
    looks = iter([None, False, 0, "here", "there"])
    assert cluster.wait_until(lambda: next(looks), "Godot") == "here"
    assert cluster.wait_until(lambda: "now", seconds=0) == "now"
