"""What a rank tells while it trains: numbers, lines, checkpoints."""

import io
import json
import threading
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import torch

from parallel_ai.training.data_parallel import position


@dataclass
class _Wire:
    link: Connection | None = None
    lock: Any = field(default_factory=threading.Lock)

    def send(self, kind: str, content: Any) -> None:
        """Send one message whole, whichever thread speaks."""
        if self.link is not None:
            with self.lock:
                self.link.send((kind, content))


WIRE = _Wire()  # of this process, if a Dask worker has started it


@dataclass(frozen=True)
class Told:
    """Something that a rank said: numbers or a line, perhaps with a state.

    Attributes
    ----------
    values : dict
        What it passed to `tell` by name.
    line : str
        What it printed, if it was that.
    state : bytes or None
        A checkpoint, see `packed`.
    """

    rank: int
    values: dict[str, Any] = field(default_factory=dict)
    line: str = ""
    state: bytes | None = field(default=None, repr=False)


def tell(state: bytes | None = None, **values: Any) -> None:
    """Tell the program that called `run_ddp`, now; elsewhere, print.

    Parameters
    ----------
    state : bytes, optional
        Large things. The newest waits at the worker until it is fetched;
        one that a newer has replaced arrives as None.
    values
        Small things that JSON knows. They pass through the scheduler.
    """
    text = json.dumps(values)
    if WIRE.link is not None:
        WIRE.send("told", (text, state))
    elif position()[0] == 0:
        print(text, flush=True)


class Lines(io.TextIOBase):
    """A file for `print`, each of whose lines goes to the caller."""

    def __init__(self) -> None:
        self.begun = ""

    def write(self, text: str) -> int:
        """Send what is a whole line."""
        *whole, self.begun = (self.begun + text).split("\n")
        for line in whole:
            WIRE.send("line", line)
        return len(text)

    def end(self) -> None:
        """Send what is left of a line that nobody has ended."""
        if self.begun:
            self.write("\n")


def packed(state: dict[str, Any]) -> bytes:
    """Turn a checkpoint into bytes."""
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def unpacked(state: bytes) -> Any:
    """Read a checkpoint: tensors and plain values, no code."""
    return torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
