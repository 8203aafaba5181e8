"""Count the bytes that are read from files, whoever reads them.

Claim: how much of a file an answer needs can be counted, exactly and in any
process, by a file system that writes down each of its reads.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from pyarrow.fs import FSSpecHandler, PyFileSystem


class CountedFile(io.FileIO):
    """A file that notes in a log that it was opened, and each read."""

    def __init__(self, path: str, log: str) -> None:
        super().__init__(path, "rb")
        self._log = log
        self._note("open", 0)

    def _note(self, what: str, count: int) -> None:
        """Append one line: short enough to be written in one piece."""
        line = f"{os.getpid()}\t{what}\t{count}\t{self.name}\n"
        kept = os.open(self._log, os.O_WRONLY | os.O_APPEND)
        os.write(kept, line.encode())
        os.close(kept)

    def __del__(self) -> None:
        """Close: Arrow drops what it has read, and leaves that to us."""
        self.close()

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes, all that are left if negative."""
        if size is None or size < 0:
            return self.readall()
        found = super().read(size)
        self._note("read", len(found))
        return found

    def readall(self) -> bytes:
        """Read to the end."""
        found = super().readall()
        self._note("read", len(found))
        return found

    def readinto(self, buffer: Any) -> int:
        """Read into memory that the caller has."""
        count = super().readinto(buffer) or 0
        self._note("read", count)
        return count


class CountedFiles(LocalFileSystem):
    """Files of this machine under ``counted://``, read by `CountedFile`."""

    protocol = "counted"

    def __init__(self, log: str, **options: Any) -> None:
        super().__init__(**options)
        self.log = log

    def __eq__(self, other: object) -> bool:
        """Compare by the log: a worker's copy is the same file system."""
        return isinstance(other, CountedFiles) and self.log == other.log

    def __hash__(self) -> int:
        """Hash what is compared."""
        return hash(self.log)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode != "rb":
            return super()._open(path, mode, **options)
        return CountedFile(self._strip_protocol(path), self.log)


fsspec.register_implementation("counted", CountedFiles, clobber=True)


class Reads:
    """What was read since the counting began, or since `reset`.

    Attributes
    ----------
    log : str
        File that all `CountedFile` objects write to.
    """

    def __init__(self, log: str) -> None:
        self.log = log
        self.reset()

    @property
    def files(self) -> CountedFiles:
        """File system to read through, of the kind that fsspec has."""
        return CountedFiles(self.log)

    @property
    def arrow_files(self) -> PyFileSystem:
        """The same as a file system of Arrow."""
        return PyFileSystem(FSSpecHandler(self.files))

    def reset(self) -> None:
        """Forget what was read."""
        Path(self.log).write_text("", encoding="utf8")

    def _lines(self) -> Iterator[tuple[bool, str, int, str]]:
        """Was it another process, what did it do, with how many bytes."""
        me = str(os.getpid())
        for line in Path(self.log).read_text("utf8").splitlines():
            process, what, count, name = line.split("\t")
            yield process != me, what, int(count), name

    @property
    def bytes(self) -> int:
        """Bytes that were read in all."""
        return sum(count for _, _, count, _ in self._lines())

    @property
    def by_workers(self) -> int:
        """Bytes of them that other processes than this one read."""
        return sum(count for other, _, count, _ in self._lines() if other)

    @property
    def opened(self) -> Counter[str]:
        """How many times other processes opened each file."""
        return Counter(
            Path(name).name
            for other, what, _, name in self._lines()
            if other and what == "open"
        )


@contextmanager
def counting() -> Iterator[Reads]:
    """Count reads while a block runs, on all processes of this machine."""
    with TemporaryDirectory(prefix="reads-") as folder:
        yield Reads(str(Path(folder, "log")))
