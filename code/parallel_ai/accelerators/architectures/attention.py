"""Attention three times: by the formula, in tiles, and the library's.

All of them take queries, keys and values of shape (n, heads, tokens, width)
and return the same numbers. They differ by the bytes that they touch.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.stopwatch import readable_bytes

Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
TILE = 256  # tokens: 256 KiB of scores for a head, and they stay in a cache


def attention_naive(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """Mix the values, each query by its likeness to every key.

    Parameters
    ----------
    q, k, v : tensor, (n, heads, tokens, width)

    Returns
    -------
    tensor, (n, heads, tokens, width)

    Notes
    -----
    Vaswani et al. (2017). The scores are tokens × tokens numbers for each
    head, and so are the weights.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    return torch.softmax(scores, dim=-1) @ v


def attention_fused(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """Ask the library, which chooses a kernel for device and shapes."""
    return F.scaled_dot_product_attention(q, k, v)


class Tiled(torch.autograd.Function):
    """Attention whose scores never exist as a whole, not even backwards."""

    @staticmethod
    def forward(
        ctx: Any,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        tile: int,
    ) -> torch.Tensor:
        """Go through the keys, a tile at a time, for a tile of queries."""
        out = q.new_empty((*q.shape[:-1], v.shape[-1]))
        total = q.new_empty(q.shape[:-1])
        for rows in _tiles(q.shape[-2], tile):
            some = q[..., rows, :] * q.shape[-1] ** -0.5
            best = some.new_full((*some.shape[:-1], 1), -torch.inf)
            mass = torch.zeros_like(best)
            mixed = some.new_zeros((*some.shape[:-1], v.shape[-1]))
            for columns in _tiles(k.shape[-2], tile):
                scores = some @ k[..., columns, :].mT
                seen = torch.maximum(best, scores.amax(-1, keepdim=True))
                shrink = torch.exp(best - seen)  # of all that was before
                weights = scores.sub_(seen).exp_()
                mass.mul_(shrink).add_(weights.sum(-1, keepdim=True))
                mixed.mul_(shrink).add_(weights @ v[..., columns, :])
                best = seen
            out[..., rows, :] = mixed / mass
            total[..., rows] = (best + mass.log()).squeeze(-1)
        ctx.save_for_backward(q, k, v, out, total)
        ctx.tile = tile
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        """Compute each tile of weights again, from scores and logarithm."""
        q, k, v, out, total = ctx.saved_tensors
        dq, dk, dv = (torch.zeros_like(one) for one in (q, k, v))
        scale = q.shape[-1] ** -0.5
        along = (grad * out).sum(-1, keepdim=True)
        for rows in _tiles(q.shape[-2], ctx.tile):
            some, back = q[..., rows, :] * scale, grad[..., rows, :]
            for columns in _tiles(k.shape[-2], ctx.tile):
                keys, values = k[..., columns, :], v[..., columns, :]
                weights = some @ keys.mT
                weights.sub_(total[..., rows, None]).exp_()
                dv[..., columns, :] += weights.mT @ back
                slope = back @ values.mT
                slope.sub_(along[..., rows, :]).mul_(weights)
                dq[..., rows, :] += slope @ keys * scale
                dk[..., columns, :] += slope.mT @ some
        return dq, dk, dv, None


def _tiles(length: int, tile: int) -> list[slice]:
    return [slice(at, at + tile) for at in range(0, length, tile)]


def attention_tiled(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, tile: int = TILE
) -> torch.Tensor:
    """Mix the values as `attention_naive` does, tile by tile.

    Parameters
    ----------
    tile : int
        Queries and keys that meet at once; at least 1.

    Raises
    ------
    ValueError
        The tile is empty, or there is no key.

    Notes
    -----
    The running maximum and sum are those of Milakov and Gimelshein (2018);
    the tiles and the backward pass those of Dao et al. (2022).
    """
    if tile < 1:
        raise ValueError(f"a tile has at least one token, got {tile}")
    if k.shape[-2] == 0:
        raise ValueError("attention needs at least one key")
    return Tiled.apply(q, k, v, tile)


WAYS: dict[str, Attend] = {
    "naive": attention_naive,
    "tiled by hand": attention_tiled,
    "library": attention_fused,
}


def naive_bytes(
    batch: int, heads: int, tokens: int, width: int, itemsize: int = 4
) -> int:
    """Bytes that `attention_naive` holds at its worst moment.

    Scores, weights and result are there together at its end. Inputs do not
    count.
    """
    scores = batch * heads * tokens * tokens
    return itemsize * (2 * scores + batch * heads * tokens * width)


def attention_careful(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """Attend naively, but ask first whether the scores have room.

    Raises
    ------
    OutOfMemoryError
        Of `toolbox.device`; it says how many bytes are needed, and nothing
        has been computed yet.
    """
    *batch, heads, tokens, width = q.shape
    size = naive_bytes(
        torch.Size(batch).numel(), heads, tokens, width, q.element_size()
    )
    free = machine.memory()
    if q.device.type == "cuda":
        free = torch.cuda.mem_get_info(q.device)[0]
    what = f"the scores of {tokens:,} tokens and {heads} heads"
    advice = (
        "half as many tokens need a quarter; attention_tiled and "
        "scaled_dot_product_attention never hold them"
    )
    if size > free:
        raise devices.OutOfMemoryError(
            f"No room for {what}: they take {readable_bytes(size)}, and "
            f"{readable_bytes(free)} are free. {advice.capitalize()}."
        )
    with devices.room_for(what, advice):
        return attention_naive(q, k, v)
