"""How much memory processes take at most, children included.

Adding up what the system calls resident counts a shared page once for each
process that maps it. Linux also tells the *proportional* size, in which a
page that n processes share counts 1/n for each; its sum is the truth.
"""

import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

import psutil

INTERVAL = 0.25  # seconds; asking costs a few milliseconds of CPU time
# A process that is just being started seems to have its parent's memory, for
# a moment: a peak is believed when it is still there after these seconds.
SETTLED = 0.03


def taken(processes: Iterable[psutil.Process]) -> int:
    """Bytes of memory that processes take together now.

    Shared pages count once on Linux, and once for each process elsewhere.
    Processes that have ended count nothing.
    """
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            if psutil.LINUX:
                total += process.memory_full_info().pss
            else:
                total += process.memory_info().rss
    return total


def resident(processes: Iterable[psutil.Process]) -> int:
    """Bytes that they take at most: shared pages count for each of them."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total


class ChildrenPeak:
    """Watch the children of this process, and theirs, while a block runs.

    >>> with ChildrenPeak() as watched:
    ...     pass
    >>> watched.bytes >= 0
    True

    Attributes
    ----------
    bytes : int
        Most that they took together. Shorter peaks may be missed.
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
            # The exact number costs the children time: only for a new peak.
            if resident(children) > self.bytes:
                first = taken(children)
                self._over.wait(SETTLED)
                again = taken(me.children(recursive=True))
                self.bytes = max(self.bytes, min(first, again))
            if self._over.wait(self._interval):
                return
