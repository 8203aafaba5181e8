"""The process of one rank. A worker starts it, and it ends with the worker."""

import contextlib
import faulthandler
import json
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle
import torch
import torch.distributed as dist

from parallel_ai.toolbox import ranks
from parallel_ai.training.on_dask.placing import LOOPBACK, gpus, interface
from parallel_ai.training.on_dask.telling import WIRE, Lines

Job = dict[str, Any]


def main(link: Connection, log: str, job: Job) -> None:
    """Be a rank: join, call, tell what came of it.

    Parameters
    ----------
    link : Connection
        To the worker: everything that the rank has to say goes there.
    log : str
        File for what is written by others than `print`.
    """
    os.setsid()  # whatever it forks ends with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker ends us
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if ranks.ASK:
        faulthandler.register(ranks.ASK, all_threads=False)
    # It may have children: a DataLoader's workers.
    multiprocessing.current_process().daemon = False
    os.environ.update(job["environment"])  # the server's may be older
    WIRE.link = link
    threading.Thread(target=_follow, args=(link,), daemon=True).start()
    lines = Lines()
    try:
        with contextlib.redirect_stdout(lines):
            result = in_group(job)
    except BaseException:  # noqa: BLE001, the caller raises it
        lines.end()
        WIRE.send("error", traceback.format_exc())
        # Who hangs up now makes the others fail, too, and perhaps be heard
        # first. The worker ends us when the guilty one is known.
        threading.Event().wait()
    lines.end()
    WIRE.send("result", result)


def in_group(job: Job) -> bytes:
    """Call the function in a process group that ends with it."""
    torch.set_num_threads(job["threads"])
    train, args = pickle.loads(job["call"])  # noqa: S301, the caller's own
    store = store_of(job)
    gpu = own_gpu(job, store)
    if gpu is not None:
        torch.cuda.set_device(gpu)
    name = ranks.LOOPBACK
    if job["address"] != LOOPBACK:
        name = interface(job["host"])
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = name
    dist.init_process_group(
        "gloo" if gpu is None else "nccl",
        store=dist.PrefixStore("group", store),
        rank=job["rank"], world_size=job["size"],
        timeout=timedelta(seconds=job["seconds"] + ranks.SLACK),
    )  # fmt: skip
    WIRE.send("joined", os.getpid())
    result = cloudpickle.dumps(train(*args))
    dist.barrier()  # nobody hangs up on those who still talk
    dist.destroy_process_group()
    return result


def store_of(job: Job) -> dist.Store:
    """Open the store, on the socket that is bound already, or connect."""
    bound = job["socket"]
    return dist.TCPStore(
        job["address"], job["port"], job["size"], job["rank"] == 0,
        timedelta(seconds=job["patience"]), wait_for_workers=False,
        use_libuv=True, master_listen_fd=bound.detach() if bound else None,
    )  # fmt: skip


def own_gpu(job: Job, store: dist.Store) -> int | None:
    """Agree with the others: a GPU for each rank, or none for any."""
    usable = ranks.backend(1) == "nccl"
    count = torch.cuda.device_count() if usable else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    mine = (job["host"], visible, count)
    store.set(f"sees {job['rank']}", json.dumps(mine))
    told = [json.loads(store.get(f"sees {r}")) for r in range(job["size"])]
    seen = [(host, visible, count) for host, visible, count in told]
    found = gpus(seen)
    return found[job["rank"]] if found else None


def _follow(link: Connection) -> None:
    """End with the worker, however it ends."""
    with contextlib.suppress(EOFError, OSError):
        link.recv()
    os._exit(1)
