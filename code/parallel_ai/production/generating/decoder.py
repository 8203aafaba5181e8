"""A small decoder-only transformer, which may keep its past in a cache."""

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.production.generating.remembering import Ahead, Cache
from parallel_ai.production.generating.shapes import Config

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
