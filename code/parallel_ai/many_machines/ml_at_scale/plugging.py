"""A network of our own, plugged into LightGBM, which speaks C.

LightGBM asks a network for two things: to sum up blocks, and to hand out
blocks. It takes any two functions that do so.
"""

import ctypes
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from parallel_ai.many_machines.ml_at_scale.exchange import Exchange

# LightGBM's functions, as its header include/LightGBM/meta.h has them.
_sizes = ctypes.POINTER(ctypes.c_int32)
_Reducer = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int32
)
_ReduceScatter = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int, _sizes, _sizes,
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int32, ctypes.POINTER(_Reducer),
)  # fmt: skip
_AllGather = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int32, _sizes, _sizes,
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int32,
)  # fmt: skip


_log = logging.getLogger(__name__)
# Each thread of LightGBM prints unless told otherwise; kept for ever, since
# a thread may use it at any time.
_tell = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(
    lambda text: _log.debug(text.decode(errors="replace").rstrip())
)


class Traffic(NamedTuple):
    """What a worker has sent to the others."""

    histograms: int = 0  # bytes
    rest: int = 0  # bytes: bins, totals, the best splits
    messages: int = 0


class Network:
    """The two functions that LightGBM asks a network for.

    An error cannot pass through LightGBM's C++. It is kept, and from then on
    the others are taken for copies of this worker, so that what LightGBM
    gets is always well-formed; training ends with the tree at hand.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.histograms = 0
        self.error: BaseException | None = None

    def swap(self, blocks: list[bytes]) -> list[bytes]:
        """Exchange blocks, unless something has gone wrong before."""
        if self.error is None:
            try:
                return self.exchange.swap(blocks)
            except BaseException as error:  # noqa: BLE001 - raised later
                self.error = error
        return [blocks[self.exchange.rank]] * len(blocks)

    def check(self, environment: Any = None) -> None:
        """Raise what went wrong; for LightGBM to call after each tree."""
        if self.error is not None:
            raise self.error

    def reduce_scatter(
        self, mine: int, size: int, type_size: int, starts: Any, sizes: Any,
        count: int, out: int, out_size: int, reducer: Any,
    ) -> None:  # fmt: skip
        """Sum up all workers' blocks; each keeps the block of its rank."""
        blocks = [
            ctypes.string_at(mine + starts[i], sizes[i]) for i in range(count)
        ]
        own, before = sizes[self.exchange.rank], self.exchange.bytes
        received = self.swap(blocks)
        self.histograms += self.exchange.bytes - before
        ctypes.memmove(out, received[0], own)
        for block in received[1:]:  # in the order of ranks, on every worker
            reducer[0](ctypes.c_char_p(block), out, type_size, own)

    def all_gather(
        self, mine: int, size: int, starts: Any, sizes: Any, count: int,
        out: int, out_size: int,
    ) -> None:  # fmt: skip
        """Give every worker the blocks of all."""
        block = ctypes.string_at(mine, sizes[self.exchange.rank])
        for i, part in enumerate(self.swap([block] * count)):
            whole = part * (sizes[i] // max(len(part), 1) + 1)
            ctypes.memmove(out + starts[i], whole, sizes[i])

    def traffic(self) -> Traffic:
        """Tell what this worker has sent so far."""
        rest = self.exchange.bytes - self.histograms
        return Traffic(self.histograms, rest, self.exchange.messages)

    @contextmanager
    def plugged_in(self) -> Iterator[None]:
        """Let LightGBM use it in this thread, for the length of a block."""
        import lightgbm

        library = lightgbm.basic._LIB
        scatter = _ReduceScatter(self.reduce_scatter)
        gather = _AllGather(self.all_gather)
        library.LGBM_RegisterLogCallback(_tell)
        try:
            lightgbm.basic._safe_call(
                library.LGBM_NetworkInitWithFunctions(
                    self.exchange.world, self.exchange.rank, scatter, gather
                )
            )
            yield
        finally:
            library.LGBM_NetworkFree()
            self.check()
