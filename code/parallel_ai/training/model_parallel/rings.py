"""Context parallel: each rank has some of the tokens, keys go round."""

import torch

from parallel_ai.training.collectives import Transport

State = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def ring_attention(
    net: Transport, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """Attend to the tokens of all ranks; keys and values travel in a ring.

    Parameters
    ----------
    q, k, v : tensor, (own tokens, width)
        As many tokens on each rank. Not causal: forward only.

    Returns
    -------
    tensor, (own tokens, width)
    """
    # Here, since ranks would pay for what else that chapter imports.
    from parallel_ai.accelerators.architectures import merge

    right, left = (net.rank + 1) % net.size, (net.rank - 1) % net.size
    packed = torch.cat([k, v]).flatten()
    state = _look(q, k, v)
    for _ in range(net.size - 1):
        inbox = torch.empty_like(packed)
        net.exchange(packed, right, inbox, left)
        packed = inbox
        k, v = packed.view(2, *v.shape)
        state = merge(state, _look(q, k, v))
    return state[2] / state[1]


def _look(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> State:
    """Largest score, mass and mixture of one group of keys."""
    scores = q @ k.T / q.shape[1] ** 0.5
    best = scores.amax(1, keepdim=True)
    powers = (scores - best).exp()
    return best, powers.sum(1, keepdim=True), powers @ v
