"""How much memory processes take at most, children included.

Adding up what the system calls resident counts a shared array once for each
process that maps it. Where the system tells (Linux), pages that may be shared
are therefore counted once, for the process that maps most of them.
"""

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import psutil

INTERVAL = 0.25  # seconds; asking costs a few milliseconds of CPU time


def taken(processes: Iterable[psutil.Process]) -> int:
    """Bytes of memory that processes take together now.

    Private pages are added up, shared ones counted once. A child that was
    forked shares its parent's pages too, which nobody tells, so the true
    number may be less. Processes that have ended count nothing.
    """
    private, shared = 0, 0
    for process in processes:
        try:
            info = process.memory_info()
        except psutil.Error:
            continue
        common = getattr(info, "shared", 0)
        private += info.rss - common
        shared = max(shared, common)
    return private + shared


class ChildrenPeak:
    """Watch the children of this process, and theirs, while a block runs.

    >>> with ChildrenPeak() as watched:
    ...     pass
    >>> watched.bytes >= 0
    True

    Attributes
    ----------
    bytes : int
        Most that they took together. Peaks between two looks are missed.
    """

    def __init__(self, interval: float = INTERVAL) -> None:
        self.bytes = 0
        self._interval = interval
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, after a last look."""
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        me = psutil.Process()
        while True:
            children = me.children(recursive=True)
            self.bytes = max(self.bytes, taken(children))
            if self._over.wait(self._interval):
                return
