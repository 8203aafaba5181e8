"""Requests that come when they like: first tokens and gaps under load."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from parallel_ai.accelerators.devices import arrivals
from parallel_ai.production.generating.decoder import Decoder
from parallel_ai.production.generating.sampling import Sampling
from parallel_ai.production.generating.scheduling import (
    Request,
    Served,
    serve_model,
)
from parallel_ai.production.generating.texts import (
    HELD,
    documents,
    prompt_of,
)

WARM = Sampling(temperature=0.8, top_p=0.95)
POLICIES: Mapping[str, Mapping[str, bool]] = {
    "static": {"continuous": False},
    "continuous": {"continuous": True},
}


def requests_of(
    count: int,
    rate: float = np.inf,
    most: int = 160,
    shortest: int = 8,
    longest: int = 64,
    how: Sampling = WARM,
    seed: int = 0,
) -> list[Request]:
    """Ask for the rest of held-out documents.

    Parameters
    ----------
    rate : float
        Arrivals a second, of a Poisson process; infinite: all at once.
    most : int
        Tokens that the longest answer may have. Each request may have so
        many or fewer: lengths are log-uniform, as few are long.
    shortest, longest : int
        Tokens of a prompt, at least and at most.
    """
    rng = np.random.default_rng(seed)
    texts = [t for t in documents()[::HELD] if len(t) >= longest]
    come = np.zeros(count)
    if np.isfinite(rate):
        come = arrivals(rate, count, seed)
    least = np.log(min(8, most))
    lengths = np.exp(rng.uniform(least, np.log(most), count)).round()
    return [
        Request(
            prompt_of(
                texts[rng.integers(len(texts))][
                    : rng.integers(shortest, longest)
                ]
            ),
            int(lengths[i]),
            how,
            seed=i,
            arrives=float(come[i]),
        )
        for i in range(count)
    ]


def summary(served: Served) -> dict[str, float]:
    """Say how it was: first tokens, gaps, tokens a second.

    Returns
    -------
    dict
        ``first p50``, ``first p99``, ``gap p50``, ``gap p99`` in seconds,
        ``rate`` in tokens a second, ``used`` as a share of the slots.
    """
    first = [answer.first for answer in served.answers]
    gaps = np.concatenate([answer.gaps for answer in served.answers])
    found = {
        f"{name} p{p}": float(np.percentile(values, p))
        for name, values in (("first", first), ("gap", gaps))
        if len(values)
        for p in (50, 99)
    }
    rate = served.tokens / served.seconds
    return found | {"rate": rate, "used": served.used}


def under_load(
    model: Decoder,
    rates: Sequence[float],
    count: int = 40,
    slots: int = 8,
    **asked: Any,
) -> list[dict[str, Any]]:
    """Serve the same arrivals by each policy, at each rate.

    Returns
    -------
    list of dict
        `summary` with ``policy`` and ``asked``, the arrivals a second.
    """
    found = []
    for rate in rates:
        requests = requests_of(count, rate, **asked)
        for policy, how in POLICIES.items():
            served = serve_model(model, requests, slots, **how)
            row = {"policy": policy, "asked": float(rate)}
            found.append(row | summary(served))
    return found


def long_among_short(
    length: int, short: int = 4, tokens: int = 40, seed: int = 0
) -> list[Request]:
    """Ask for some short answers, and for a long prompt meanwhile.

    The long one comes just after the others have begun.
    """
    rng = np.random.default_rng(seed)
    brief = [
        Request(tuple(rng.integers(1, 128, 8).tolist()), tokens)
        for _ in range(short)
    ]
    whole = tuple(rng.integers(1, 128, length).tolist())
    return [*brief, Request(whole, 4, arrives=1e-9)]
