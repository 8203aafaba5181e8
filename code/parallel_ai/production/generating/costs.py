"""Operations and bytes of a pass, and what follows for prefill and decode."""

from collections.abc import Sequence
from dataclasses import dataclass

from parallel_ai.accelerators.devices import Peaks
from parallel_ai.production.generating.shapes import Config
from parallel_ai.training.collectives.costs import Link, ring_time

# Shapes from Grattafiori et al. (2024). Their MLP has three matrices, of
# another width than ours: where weights count, they are given by number.
LLAMA = {
    "Llama 3 8B": Config(4096, 32, 32, 4, 8192, 128_256),
    "Llama 3 70B": Config(8192, 80, 64, 8, 8192, 128_256),
}


def cache_bytes(config: Config, tokens: int, itemsize: float = 4) -> float:
    """Bytes of keys and values of so many tokens.

    Two, for each block, for each head of keys, of the width of a head.
    """
    return 2 * config.depth * config.pairs * config.each * itemsize * tokens


@dataclass(frozen=True)
class Work:
    """What a pass computes, and what it must read for it.

    Attributes
    ----------
    operations : float
        Multiplications and additions.
    weights, cached : float
        Bytes of the matrices, and of keys and values.
    """

    operations: float
    weights: float
    cached: float

    @property
    def bytes(self) -> float:
        """Bytes that are read."""
        return self.weights + self.cached

    @property
    def intensity(self) -> float:
        """Operations for each byte."""
        return self.operations / self.bytes

    def seconds(self, peaks: Peaks, kind: str = "float32") -> float:
        """Return the least time that the roofs of a device allow."""
        arithmetic = self.operations / peaks.rates[kind]
        return max(arithmetic, self.bytes / peaks.memory)


def pass_work(
    config: Config,
    rows: float,
    new: int,
    before: int,
    itemsize: float = 4,
    cached: float | None = None,
    parameters: float | None = None,
) -> Work:
    """Count a pass of some tokens through the model.

    Parameters
    ----------
    rows : float
        Sequences; a curve has parts of one.
    new, before : int
        Tokens of each that are computed, and that the cache holds: a
        prefill has none before, a step of decoding has one new.
    itemsize, cached : float
        Bytes of a weight and of a number in the cache, by default as many.
    parameters : float, optional
        Weights that each token is multiplied with, of a model whose layers
        are not ours; by default those of the shape.

    Notes
    -----
    Vectors between the layers stay in caches and are not counted.
    """
    seen = new * before + new * (new + 1) / 2
    attention = 4 * config.depth * config.width * seen
    matrices = config.matrices if parameters is None else parameters
    operations = rows * (2 * matrices * new + attention)
    each = cache_bytes(config, before + new, cached or itemsize)
    return Work(operations, matrices * itemsize, rows * each)


def decode_rate(
    config: Config,
    rows: int,
    before: int,
    peaks: Peaks,
    kind: str = "float32",
    itemsize: float = 4,
    cached: float | None = None,
    parameters: float | None = None,
) -> float:
    """Tokens a second that the roofs allow to a step of decoding."""
    work = pass_work(config, rows, 1, before, itemsize, cached, parameters)
    return rows / work.seconds(peaks, kind)


def recomputed(prompt: int, count: int) -> int:
    """Tokens that go through the model if none is kept."""
    return sum(prompt + i for i in range(count))


def quantised_bytes(bits: int, group: int = 0, scale: int = 16) -> float:
    """Bytes of a weight with few bits, and a scale for each group.

    >>> quantised_bytes(8), quantised_bytes(4, 32)
    (1.0, 0.5625)
    """
    return (bits + (scale / group if group else 0)) / 8


@dataclass(frozen=True)
class Split:
    """A token of a model whose layers are cut over ranks.

    Attributes
    ----------
    reading : float
        Seconds for reading a rank's part of weights and cache.
    ring, at_once : float
        Seconds for the sums of two activations a block: by a ring, and if
        each sends to all others in one message.
    """

    reading: float
    ring: float
    at_once: float


def split_token(
    config: Config,
    parameters: float,
    ranks: int,
    memory: float,
    link: Link,
    rows: int = 1,
    before: int = 0,
    itemsize: float = 2,
) -> Split:
    """Foretell a step of decoding under tensor parallelism.

    Parameters
    ----------
    parameters : float
        Weights that are read for a token.
    memory : float
        Bytes a second of a rank's memory.
    """
    held = rows * cache_bytes(config, before + 1, itemsize)
    activation = rows * config.width * itemsize
    sums = 2 * config.depth
    return Split(
        (parameters * itemsize + held) / ranks / memory,
        sums * ring_time(ranks, activation, link),
        sums * link.message((ranks - 1) * activation) * (ranks > 1),
    )


def most_rows(
    config: Config, room: float, lengths: Sequence[int], itemsize: float = 2
) -> int:
    """Sequences, in their order, whose keys and values fit into bytes."""
    for count, length in enumerate(lengths):
        room -= cache_bytes(config, length, itemsize)
        if room < 0:
            return count
    return len(lengths)
