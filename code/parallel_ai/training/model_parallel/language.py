"""A small language model, and the same model with its layers split."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.training import collectives
from parallel_ai.training.model_parallel.layers import (
    Columns,
    Entrance,
    Rows,
    SplitCrossEntropy,
    SplitEmbedding,
)
from parallel_ai.training.model_parallel.teams import Team

VOCABULARY = 128  # ASCII


class Attention(nn.Module):
    """Causal attention with a linear layer each for q, k and v.

    It counts its heads by what the linear layers return, so that a rank
    with some of the heads needs no other code.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads cannot share a width of {width}")
        self.each = width // heads
        self.enter: nn.Module = nn.Identity()
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Mix each token with those before it; (n, length, width)."""
        tokens = self.enter(tokens)
        q, k, v = (
            layer(tokens).unflatten(2, (-1, self.each)).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """One layer: tokens exchange, then each thinks for itself."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.exchange = Attention(width, heads)
        self.between = nn.LayerNorm(width)
        self.think = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Add what each half finds; (n, length, width) in and out."""
        tokens = tokens + self.exchange(self.before(tokens))
        return tokens + self.think(self.between(tokens))


class Begin(nn.Module):
    """Give each character, and each place, a vector."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, width)
        self.where = nn.Parameter(torch.randn(length, width) * 0.1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Take (n, length) tokens; give (n, length, width)."""
        return self.embed(tokens) + self.where[: tokens.shape[1]]


class End(nn.Module):
    """Compute logits of each next character."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, VOCABULARY)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Take (n, length, width); give (n, length, vocabulary)."""
        return self.head(self.norm(vectors))


def language(
    width: int = 64, depth: int = 4, heads: int = 4, length: int = 64
) -> nn.Sequential:
    """Build the model: a beginning, blocks, an end. A slice is a stage."""
    blocks = (Block(width, heads) for _ in range(depth))
    return nn.Sequential(Begin(width, length), *blocks, End(width))


def split_block(block: Block, team: Team, once: bool = True) -> None:
    """Leave this rank its heads, and its hidden units.

    Parameters
    ----------
    once : bool
        Let q, k and v ask for one sum together, backwards, and not for
        three.
    """
    attention, think = block.exchange, block.think
    heads = team.own(attention.q.out_features // attention.each)
    part = slice(heads.start * attention.each, heads.stop * attention.each)
    if once:
        attention.enter = Entrance(team)
    for name in ("q", "k", "v"):
        layer = getattr(attention, name)
        setattr(attention, name, Columns(layer, part, team, not once))
    attention.out = Rows(attention.out, part, team)  # type: ignore
    hidden = team.own(think[0].out_features)  # type: ignore[arg-type]
    think[0] = Columns(think[0], hidden, team)  # type: ignore[arg-type]
    think[2] = Rows(think[2], hidden, team)  # type: ignore[arg-type]


def split_model(model: nn.Sequential, team: Team) -> nn.Sequential:
    """Leave this rank its part of each layer of a whole model, in place."""
    begin, *blocks, end = model
    for block in blocks:
        split_block(block, team)  # type: ignore[arg-type]
    begin.embed = SplitEmbedding(begin.embed, team)  # type: ignore
    end.head = Columns(end.head, team.own(VOCABULARY), team)  # type: ignore
    return model


def loss_of(
    logits: torch.Tensor, targets: torch.Tensor, team: Team | None = None
) -> torch.Tensor:
    """Mean cross-entropy; with a team, of logits that are split."""
    flat, wanted = logits.flatten(0, 1), targets.flatten()
    if team is None:
        return F.cross_entropy(flat, wanted)
    start = team.own(VOCABULARY).start
    return SplitCrossEntropy.apply(flat, wanted, start, team)


def text() -> torch.Tensor:
    """Read what the model learns: the source of the chapter *Collectives*."""
    folder = Path(collectives.__file__).parent
    files = sorted(folder.glob("*.py"))
    whole = "\n".join(one.read_text(encoding="utf8") for one in files)
    return torch.tensor(list(whole.encode("ascii", "replace")))


def batch_of(
    data: torch.Tensor, step: int, count: int, length: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut `count` pieces, the same for the same step; tokens and targets."""
    generator = torch.Generator().manual_seed(step)
    first = torch.randint(len(data) - length, (count, 1), generator=generator)
    pieces = data[first + torch.arange(length + 1)]
    return pieces[:, :-1], pieces[:, 1:]
