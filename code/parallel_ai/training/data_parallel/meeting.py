"""How ranks find each other, and what a run that was killed leaves behind."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist

from parallel_ai.toolbox import ranks
from parallel_ai.toolbox.workers import LIMIT, begin, start_context


def meet(rank: int, size: int, path: str, mailbox: Any) -> None:
    """Be a rank: meet the others by a file, say what came of it, and wait."""
    begin(None)
    said = "joined"
    try:
        with ranks.on_loopback():
            dist.init_process_group(
                "gloo", store=dist.FileStore(path, size), rank=rank,
                world_size=size, timeout=timedelta(seconds=LIMIT),
            )  # fmt: skip
    except RuntimeError as error:
        said = str(error).rpartition("] ")[2].partition(", ")[0]
    mailbox.put(said)
    threading.Event().wait()  # to be killed


def meet_and_die(path: Path, size: int = 2) -> str:
    """Let ranks meet by a file, and kill them all.

    Returns
    -------
    str
        "joined", or what the first rank said that could not.

    Raises
    ------
    queue.Empty
        No rank had an answer within `LIMIT` seconds.
    """
    context: Any = start_context()
    mailbox = context.Queue()
    team = [
        context.Process(target=meet, args=(rank, size, str(path), mailbox))
        for rank in range(size)
    ]
    try:
        for process in team:
            process.start()
        for _ in team:
            said = mailbox.get(timeout=LIMIT)
            if said != "joined":
                break
    finally:
        for process in team:
            process.kill()
            process.join()
        mailbox.close()
    return str(said)
