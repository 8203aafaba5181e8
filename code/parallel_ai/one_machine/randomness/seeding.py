"""How a seed becomes the state of a generator, and one seed many streams."""

from collections.abc import Sequence

import numpy as np

POOL = 4  # words of 32 bits: what a SeedSequence remembers
WORD = 0xFFFFFFFF


class Hasher:
    """Multiply by a number that changes at each use, fold the high bits."""

    def __init__(self, start: int, multiplier: int) -> None:
        self.constant, self.multiplier = start, multiplier

    def __call__(self, word: int) -> int:
        """Hash one word of 32 bits."""
        word ^= self.constant
        self.constant = self.constant * self.multiplier & WORD
        word = word * self.constant & WORD
        return word ^ word >> 16


def mix(x: int, y: int) -> int:
    """Put two words into one, so that each bit of both matters."""
    word = (0xCA01F9DD * x - 0x4973F715 * y) & WORD
    return word ^ word >> 16


def seed_words(
    entropy: int, key: Sequence[int] = (), count: int = 4
) -> list[int]:
    """Do what `SeedSequence(entropy, spawn_key=key)` does.

    Parameters
    ----------
    entropy : int
        The seed, of any length, not negative.
    key : sequence of int
        Which child of which child it is; each below 2**32.
    count : int
        Words of 32 bits wanted.

    Returns
    -------
    list of int
        The same as ``generate_state(count)``.

    Notes
    -----
    O'Neill, "Developing a seed_seq alternative" (2015), as implemented in
    NumPy's ``bit_generator.pyx``.
    """
    words = [entropy & WORD]
    while entropy := entropy >> 32:
        words.append(entropy & WORD)
    if key:  # a short seed is filled up, or a key would look like its end
        words += [0] * (POOL - len(words)) + list(key)
    hashed = Hasher(0x43B0D7E5, 0x931E8875)
    pool = [hashed(w) for w in (words + [0] * POOL)[:POOL]]
    for source in range(POOL):  # every word into every other word
        for target in range(POOL):
            if source != target:
                pool[target] = mix(pool[target], hashed(pool[source]))
    for word in words[POOL:]:  # what is left, into all of them
        for target in range(POOL):
            pool[target] = mix(pool[target], hashed(word))
    hashed = Hasher(0x8B51F9DD, 0x58F38DED)
    return [hashed(pool[i % POOL]) for i in range(count)]


def flipped(seed: int, bit: int, words: int = 8) -> float:
    """Share of a state's bits that change when one bit of its seed does."""
    before = seed_words(seed, count=words)
    after = seed_words(seed ^ 1 << bit, count=words)
    pairs = zip(before, after, strict=True)
    return sum((a ^ b).bit_count() for a, b in pairs) / (32 * words)


def stream(seed: int, *key: int) -> np.random.Generator:
    """Stream number `key` of a seed: the same at any time, in any process.

    Parameters
    ----------
    seed : int
        Of the whole computation.
    *key : int
        Which stream: a task's number, or an experiment's and a task's.

    Returns
    -------
    Generator
        That of ``SeedSequence(seed).spawn(n)[i]`` for the key ``i``; of
        its child j for the key ``i, j``. But nothing is counted up, so a
        task can be given its stream without asking which came before.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
