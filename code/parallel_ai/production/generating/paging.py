"""A cache in blocks: who has which, and what is reserved in vain."""

import math
from collections.abc import Hashable, Sequence


class NoBlockError(MemoryError):
    """No block is free; nothing was changed."""


class Blocks:
    """Gives blocks of a cache to sequences, as many as they need.

    A sequence's tokens lie in its blocks in order; the blocks themselves
    lie anywhere. Whole blocks of a common beginning are had together.

    Parameters
    ----------
    count : int
        Blocks.
    size : int
        Tokens of a block.
    """

    def __init__(self, count: int, size: int) -> None:
        if count < 1 or size < 1:
            raise ValueError(f"need blocks of tokens, got {count} × {size}")
        self.size = size
        self.tables: dict[Hashable, list[int]] = {}
        self.lengths: dict[Hashable, int] = {}
        self.owners = [0] * count
        self._free = list(reversed(range(count)))

    @property
    def free(self) -> int:
        """Blocks that nobody has."""
        return len(self._free)

    def grow(self, name: Hashable, length: int) -> list[int]:
        """Let a sequence hold so many tokens.

        Returns
        -------
        list of int
            Blocks that it got for that.

        Raises
        ------
        NoBlockError
            Too few are free.
        """
        table = self.tables.get(name, [])
        wanted = max(0, math.ceil(length / self.size) - len(table))
        if wanted > len(self._free):
            raise NoBlockError(f"{wanted} blocks wanted, {self.free} free")
        new = [self._free.pop() for _ in range(wanted)]
        for block in new:
            self.owners[block] = 1
        self.tables[name] = table + new
        self.lengths[name] = max(length, self.lengths.get(name, 0))
        return new

    def share(self, name: Hashable, other: Hashable, length: int) -> int:
        """Let a new sequence begin as another one, in the same blocks.

        Returns
        -------
        int
            Tokens that it has of that, a number of whole blocks: the next
            one is written by one sequence only.

        Raises
        ------
        ValueError
            The sequence has begun already.
        """
        if name in self.tables:
            raise ValueError(f"{name!r} has begun already")
        whole = min(length, self.lengths[other]) // self.size
        self.tables[name] = self.tables[other][:whole]
        self.lengths[name] = whole * self.size
        for block in self.tables[name]:
            self.owners[block] += 1
        return whole * self.size

    def release(self, name: Hashable) -> None:
        """Take back what a sequence had, unless another one has it, too."""
        del self.lengths[name]
        for block in self.tables.pop(name):
            self.owners[block] -= 1
            if not self.owners[block]:
                self._free.append(block)

    def place(self, name: Hashable, position: int) -> tuple[int, int]:
        """Find a token: its block, and its place there.

        Raises
        ------
        IndexError
            The sequence has no such token.
        """
        if not 0 <= position < self.lengths[name]:
            raise IndexError(f"{name!r} has no token {position}")
        block, place = divmod(position, self.size)
        return self.tables[name][block], place


def waste(lengths: Sequence[int], size: int) -> float:
    """Share of the reserved tokens that nobody uses.

    Parameters
    ----------
    size : int
        Tokens of a block; the longest length allowed, where each sequence
        gets one piece of memory for all that it may ever become.
    """
    reserved = sum(math.ceil(length / size) * size for length in lengths)
    return 1 - sum(lengths) / reserved if reserved else 0.0
