"""Arrays that several processes read without sending them."""

import math
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from parallel_ai.toolbox import machine

SHM = Path("/dev/shm")  # noqa: S108 - where Linux keeps shared memory

_attaching = Lock()


def attach(name: str) -> SharedMemory:
    """Open a block that another process created, and do not answer for it.

    Before Python 3.13 every process that opens a block registers it with
    its own resource tracker, which unlinks it when the process ends, under
    the feet of all the others (python/cpython#82300). From 3.13 on,
    ``track=False`` says no; before, we keep the registration from happening.
    """
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    with _attaching:
        register = resource_tracker.register
        resource_tracker.register = lambda *_: None
        try:
            return SharedMemory(name)
        finally:
            resource_tracker.register = register


@dataclass(frozen=True)
class SharedArray:
    """Where an array lies in shared memory; small, and can be pickled.

    Attributes
    ----------
    name : str
        Of the block of shared memory.
    shape : tuple of int
    dtype : str
        As `numpy.dtype.str` writes it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @contextmanager
    def open(self) -> Iterator[np.ndarray]:
        """Attach, and lend the array: it must not be used afterwards."""
        block = attach(self.name)
        try:
            yield np.ndarray(self.shape, self.dtype, buffer=block.buf)
        finally:
            block.close()


def room() -> int:
    """Bytes of shared memory that can be had now.

    Linux keeps shared memory in ``/dev/shm``, which containers often limit
    to 64 MB: writing beyond that kills the process (SIGBUS).
    """
    if SHM.is_dir():
        return min(machine.memory(), shutil.disk_usage(SHM).free)
    return machine.memory()


@contextmanager
def allocate(shape: tuple[int, ...], dtype: Any) -> Iterator[SharedArray]:
    """Create an array of zeros in shared memory, and remove it at the end.

    Raises
    ------
    MemoryError
        There is no room for it.
    TypeError
        Its elements are Python objects.
    """
    kind = np.dtype(dtype)
    if kind.hasobject:
        raise TypeError(f"{kind} holds pointers, which only one process has")
    size = kind.itemsize * math.prod(shape)
    if size > room():
        raise MemoryError(
            f"{size} bytes of shared memory wanted, {room()} are free"
        )
    block = SharedMemory(create=True, size=max(size, 1))
    try:
        yield SharedArray(block.name, tuple(shape), kind.str)
    finally:
        block.unlink()  # the name goes now, the memory with its last user
        block.close()


@contextmanager
def share(values: np.ndarray) -> Iterator[SharedArray]:
    """Copy an array into shared memory for as long as the block lasts."""
    with allocate(values.shape, values.dtype) as array:
        with array.open() as copy:
            copy[...] = values
            del copy
        yield array


@dataclass(frozen=True)
class MappedArray:
    """An array in a file of NumPy's format, read through the page cache."""

    path: str
    shape: tuple[int, ...]

    @contextmanager
    def open(self) -> Iterator[np.ndarray]:
        """Map the file: the system reads what is touched, once for all."""
        yield np.load(self.path, mmap_mode="r")


@contextmanager
def mapped(values: np.ndarray) -> Iterator[MappedArray]:
    """Write an array to a temporary file for as long as the block lasts."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "values.npy")
        np.save(path, values)
        yield MappedArray(str(path), values.shape)
