"""A small decoder-only transformer, and the cache of its keys and values."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.production.generating.texts import VOCABULARY


@dataclass(frozen=True)
class Config:
    """The shape of a model.

    Attributes
    ----------
    width, depth, heads : int
        Of the vectors; blocks; heads of queries.
    shared : int
        Heads of queries that share one head of keys and values: 1 is
        multi-head, `heads` is multi-query, between them is grouped-query
        attention.
    context : int
        Most tokens of a sequence.
    vocabulary : int
        Different tokens.
    """

    width: int = 96
    depth: int = 3
    heads: int = 4
    shared: int = 1
    context: int = 256
    vocabulary: int = VOCABULARY

    def __post_init__(self) -> None:
        """Refuse widths that cannot be divided."""
        if self.width % (2 * self.heads) or self.heads % self.shared:
            raise ValueError(
                f"{self.heads} heads must divide the width {self.width}, "
                f"into even parts, and {self.shared} must divide the heads"
            )

    @property
    def each(self) -> int:
        """Width of a head."""
        return self.width // self.heads

    @property
    def pairs(self) -> int:
        """Heads of keys and values."""
        return self.heads // self.shared

    @property
    def matrices(self) -> int:
        """Parameters that each token is multiplied with."""
        attention = 2 * self.width * (self.width + self.pairs * self.each)
        block = attention + 8 * self.width**2
        return self.depth * block + self.width * self.vocabulary


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


Turn = tuple[torch.Tensor, torch.Tensor]
SLOWEST = 1000.0  # the last pair of numbers turns so much slower


def turns(config: Config) -> torch.Tensor:
    """Tabulate how far each pair of numbers is turned at each position.

    Returns
    -------
    tensor, (2, context, each)
        Cosines, and sines with the signs that `turned` needs.

    Notes
    -----
    Rotary positions (Su et al. 2024): a key and a query that are turned by
    their positions have a product that depends on their distance alone.
    """
    half = config.each // 2
    speeds = SLOWEST ** (-torch.arange(half) / half)
    angles = torch.arange(config.context)[:, None] * speeds
    cosines, sines = angles.cos(), angles.sin()
    return torch.stack(
        [torch.cat([cosines, cosines], 1), torch.cat([-sines, sines], 1)]
    )


def turned(vectors: torch.Tensor, turn: Turn) -> torch.Tensor:
    """Turn pairs of numbers: the first half's with the second half's."""
    cosines, sines = turn
    other = vectors.roll(vectors.shape[-1] // 2, -1)
    return torch.addcmul(vectors * cosines, other, sines)


class Attention(nn.Module):
    """Attention to the past, whose keys and values may lie in a cache."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        heads = config.heads + 2 * config.pairs
        self.qkv = nn.Linear(config.width, heads * config.each, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(
        self,
        tokens: torch.Tensor,
        turn: Turn,
        layer: int = 0,
        cache: Cache | None = None,
        ahead: Ahead | None = None,
    ) -> torch.Tensor:
        """Mix each token with those before it; (n, count, width)."""
        c = self.config
        n, count, _ = tokens.shape
        all_heads = self.qkv(tokens).view(n, count, -1, c.each)
        qk, v = all_heads.split([c.heads + c.pairs, c.pairs], 2)
        q, k = turned(qk, turn).split([c.heads, c.pairs], 2)
        q = q.transpose(1, 2)
        if cache is None or ahead is None:
            k, v = (
                one.transpose(1, 2).repeat_interleave(c.shared, 1)
                for one in (k, v)
            )
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            k, v = cache.update(layer, ahead, k, v)
            # The queries of a group look at their keys as further rows.
            group = q.reshape(n, c.pairs, -1, c.each)
            mixed = F.scaled_dot_product_attention(
                group, k.transpose(1, 2), v.transpose(1, 2), ahead.mask
            ).view_as(q)
        return self.out(mixed.transpose(1, 2).reshape(n, count, c.width))


class Block(nn.Module):
    """One layer: tokens look back, then each thinks for itself."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.width
        self.before = nn.LayerNorm(width)
        self.look = Attention(config)
        self.between = nn.LayerNorm(width)
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width, bias=False),
            nn.GELU(),
            nn.Linear(4 * width, width, bias=False),
        )

    def forward(
        self,
        tokens: torch.Tensor,
        turn: Turn,
        layer: int = 0,
        cache: Cache | None = None,
        ahead: Ahead | None = None,
    ) -> torch.Tensor:
        """Add what each half finds; (n, count, width) in and out."""
        seen = self.look(self.before(tokens), turn, layer, cache, ahead)
        tokens = tokens + seen
        return tokens + self.think(self.between(tokens))


class Decoder(nn.Module):
    """Tokens in, logits of each next token out."""

    turns: torch.Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embed = nn.Embedding(config.vocabulary, width)
        self.register_buffer("turns", turns(config), persistent=False)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.vocabulary, bias=False)

    def forward(
        self,
        tokens: torch.Tensor,
        cache: Cache | None = None,
        counts: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute logits.

        Parameters
        ----------
        tokens : tensor of int64, (n, count)
            All of them; with a cache those that it does not hold yet.
        cache : Cache, optional
            It takes the tokens in.
        counts : tensor of int64, (n,), optional
            Tokens of each row that count; the rest fills the row up and
            leaves no trace. By default all.

        Returns
        -------
        tensor, (n, count, vocabulary)

        Raises
        ------
        ValueError
            There are more tokens than positions.
        """
        count, ahead = tokens.shape[1], None
        if cache is not None:
            ahead = cache.ahead(count, self.config.shared)
        longest = count if ahead is None else ahead.longest
        if longest > self.config.context:
            raise ValueError(
                f"{longest} tokens; the model has positions for "
                f"{self.config.context}"
            )
        where = slice(count) if ahead is None else ahead.where
        cosines, sines = self.turns[:, where].unsqueeze(-2)
        vectors = self.embed(tokens)
        for layer, block in enumerate(self.blocks):
            vectors = block(vectors, (cosines, sines), layer, cache, ahead)
        if cache is not None:
            cache.lengths += count if counts is None else counts
        return self.head(self.norm(vectors))

    def cache(self, rows: int = 1, room: int | None = None) -> Cache:
        """Take memory for a cache of this model, by default for a context."""
        weight = self.head.weight
        room = self.config.context if room is None else room
        return Cache(self.config, rows, room, weight.device, weight.dtype)


def random_model(
    config: Config,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Decoder:
    """Build a model with weights of a seed; it knows nothing yet."""
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(seed)
        return Decoder(config).to(dtype).eval().requires_grad_(False)
