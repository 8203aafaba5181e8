"""A sum over the ranks, and faults to inject; each is called in a rank."""

import multiprocessing
import os
import signal
import time

import psutil
import torch
import torch.distributed as dist


def add_up(value: float = 1.0) -> float:
    """Sum a number over the ranks: the least that a group can do."""
    total = torch.tensor(value)
    dist.all_reduce(total)
    return total.item()


def open_doors() -> tuple[float, list[str]]:
    """Sum, and name the addresses on which this rank's process listens."""
    total = add_up()
    found = psutil.Process().net_connections("inet")
    doors = {
        one.laddr.ip.removeprefix("::ffff:")  # IPv4 in IPv6 clothes
        for one in found
        if one.status == "LISTEN"
    }
    return total, sorted(doors)


def raise_on(guilty: int) -> float:
    """Raise on one rank, while the others wait for it.

    Raises
    ------
    ArithmeticError
        On the guilty rank.
    """
    if dist.get_rank() == guilty:
        raise ArithmeticError("the loss is not a number")
    return add_up()


def kill_on(guilty: int) -> float:
    """End one rank by SIGKILL, as a kernel without memory does."""
    if dist.get_rank() == guilty:
        os.kill(os.getpid(), signal.SIGKILL)
    return add_up()


def kill_worker_of(guilty: int) -> float:
    """End the worker of one rank."""
    worker = multiprocessing.parent_process()
    if dist.get_rank() == guilty and worker and worker.pid:
        os.kill(worker.pid, signal.SIGKILL)
    return add_up()


def hang_on(guilty: int) -> float:
    """Let one rank do something else, for ever."""
    if dist.get_rank() == guilty:
        time.sleep(3600)
    return add_up()
