"""The cache: keys and values of all tokens so far, row by row."""

from dataclasses import dataclass

import torch

from parallel_ai.production.generating.shapes import Config


class CacheFullError(ValueError):
    """A sequence is longer than the room that its cache has."""


@dataclass(frozen=True)
class Ahead:
    """What all blocks need to know of a row's next tokens.

    Attributes
    ----------
    rows, where : tensor of int64, (rows, 1) and (rows, count)
        Which row of the cache, and which place in it.
    longest : int
        Tokens of the longest row, with them.
    mask : tensor of bool, (rows, 1, shared · count, longest), or None
        What each may see; None if it is everything.
    """

    rows: torch.Tensor
    where: torch.Tensor
    longest: int
    mask: torch.Tensor | None


class Cache:
    """Keys and values of all tokens so far, in memory taken beforehand.

    Attributes
    ----------
    keys, values : list of tensor, (rows, room, pairs, each)
        One for each block. A token's part lies together.
    lengths : tensor of int64, (rows,)
        Tokens that each row holds; what lies behind them is not read.
    room : int
        Most tokens of a row.
    """

    def __init__(
        self,
        config: Config,
        rows: int,
        room: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        shape = (rows, room, config.pairs, config.each)
        self.keys, self.values = (
            [
                torch.zeros(shape, device=device, dtype=dtype)
                for _ in range(config.depth)
            ]
            for _ in range(2)
        )
        self.lengths = torch.zeros(rows, dtype=torch.int64)
        self.room = room

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(one.nbytes for one in (*self.keys, *self.values))

    def rows(self, part: slice) -> "Cache":
        """Look at some rows; what is written there is written here."""
        some = Cache.__new__(Cache)
        some.keys = [one[part] for one in self.keys]
        some.values = [one[part] for one in self.values]
        some.lengths, some.room = self.lengths[part], self.room
        return some

    def ahead(self, count: int, shared: int = 1) -> Ahead:
        """Say where each row's next tokens go, and what they may see.

        Raises
        ------
        CacheFullError
            A row would have more tokens than there is room for.
        """
        longest = int(self.lengths.max()) + count
        if longest > self.room:
            raise CacheFullError(f"{longest} tokens, room for {self.room}")
        device = self.keys[0].device
        where = (self.lengths[:, None] + torch.arange(count)).to(device)
        mask = None
        if int(self.lengths.min()) < longest - 1:  # somebody must not see all
            keys = torch.arange(longest, device=device)
            mask = (keys <= where[:, None, :, None]).repeat(1, 1, shared, 1)
        rows = torch.arange(len(where), device=device)[:, None]
        return Ahead(rows, where, longest, mask)

    def update(
        self, layer: int, ahead: Ahead, k: torch.Tensor, v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write keys and values; return those of the whole past.

        Parameters
        ----------
        k, v : tensor, (rows, count, pairs, each)

        Returns
        -------
        tuple of tensor, (rows, longest, pairs, each)
        """
        keys, values = self.keys[layer], self.values[layer]
        keys[ahead.rows, ahead.where] = k
        values[ahead.rows, ahead.where] = v
        return keys[:, : ahead.longest], values[:, : ahead.longest]
