"""Join the group that torchrun describes, or be a group of one."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from parallel_ai.toolbox import machine, ranks

SECONDS = 60.0  # for a collective; the default is 30 minutes with gloo


@contextmanager
def joined(seconds: float = SECONDS) -> Iterator[torch.device]:
    """Be a rank while the block runs; the group always ends with it.

    Yields
    ------
    torch.device
        A GPU of this rank's own if every local rank can have one; else CPU.
    """
    size, local = (
        int(os.environ.get(name, "1"))
        for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE")
    )
    torch.set_num_threads(max(1, machine.cpus() // local))
    kind = ranks.backend(local)
    device = torch.device("cpu")
    if kind == "nccl":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    wait = timedelta(seconds=seconds)
    with ExitStack() as stack:
        if size == local:  # all on this machine
            stack.enter_context(ranks.on_loopback())
        store = store_of_machine(size, local, wait)
        if store is None:  # what torchrun offers
            dist.init_process_group(kind, timeout=wait)
        else:
            rank = int(os.environ.get("RANK", "0"))
            dist.init_process_group(
                kind, store=store, rank=rank, world_size=size, timeout=wait
            )
        try:
            yield device
        except BaseException:
            stack.pop_all()  # a group in trouble may never be destroyed
            raise
        dist.barrier()  # nobody hangs up on those who still talk
        dist.destroy_process_group()


def store_of_machine(
    size: int, local: int, wait: timedelta
) -> dist.Store | None:
    """Open the store by which the ranks of one machine meet, on loopback.

    Returns
    -------
    torch.distributed.Store or None
        None where torchrun has one (`--standalone`, several nodes): then
        its agent listens, on every address.
    """
    if "RANK" not in os.environ:
        return dist.HashStore()
    theirs = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if theirs or size != local:
        return None
    port = int(os.environ["MASTER_PORT"])
    if os.environ["RANK"] != "0":
        return dist.TCPStore("127.0.0.1", port, size, False, wait)
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        bound.listen()
        return dist.TCPStore(
            "127.0.0.1", port, size, True, wait, wait_for_workers=False,
            use_libuv=True, master_listen_fd=bound.detach(),
        )  # fmt: skip
