"""Streams by place: jump ahead in one sequence, or compute any part of it."""

import numpy as np

LONG = 0xFFFFFFFFFFFFFFFF
MULTIPLIERS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
STEPS = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B


def philox(counter: int, key: int) -> tuple[int, int, int, int]:
    """Scramble a counter: Philox 4×64 with ten rounds.

    Parameters
    ----------
    counter : int
        Which four numbers of the stream; below 2**256.
    key : int
        Which stream; below 2**128.

    Returns
    -------
    tuple of four int
        Random words of 64 bits. No state is read and none is kept.

    Notes
    -----
    Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
    NumPy's `Philox` adds one to its counter before it scrambles.
    """
    a, b, c, d = (counter >> 64 * i & LONG for i in range(4))
    keys = [key & LONG, key >> 64]
    for _ in range(10):
        high, low = divmod(MULTIPLIERS[0] * a, 1 << 64)
        high2, low2 = divmod(MULTIPLIERS[1] * c, 1 << 64)
        a, b, c, d = high2 ^ b ^ keys[0], low2, high ^ d ^ keys[1], low
        keys = [k + s & LONG for k, s in zip(keys, STEPS, strict=True)]
    return a, b, c, d


def at(seed: int, epoch: int, item: int) -> np.random.Generator:
    """Make the generator of one item in one epoch, from nothing else.

    Parameters
    ----------
    seed : int
        Of the computation; below 2**128.
    epoch, item : int
        Each below 2**64. They are the upper half of the counter, so that
        2**128 counter values follow before another item's begin.
    """
    counter = np.array([0, 0, epoch, item], np.uint64)
    return np.random.Generator(np.random.Philox(key=seed, counter=counter))


def jumped(seed: int, number: int) -> np.random.Generator:
    """Start one sequence so many jumps further on.

    A jump of PCG64 passes 2**128 / φ of its 2**128 states, so that the
    starts are spread over the whole cycle; nobody draws that many numbers.
    """
    return np.random.Generator(np.random.PCG64(seed).jumped(number))
