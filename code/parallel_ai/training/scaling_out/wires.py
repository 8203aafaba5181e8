"""Two kinds of wire, and what an all-reduce over both of them takes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from parallel_ai.training.collectives import Link, ring_time
from parallel_ai.training.scaling_out.overlap import Work, simulate


@dataclass(frozen=True)
class Fabric:
    """Nodes of several ranks each.

    Attributes
    ----------
    inside : Link
        Between two ranks of a node.
    outside : Link
        Between two nodes: all cards of a node together.
    per_node : int
        Ranks of a node.
    """

    inside: Link
    outside: Link
    per_node: int = 8

    def nodes(self, size: int) -> int:
        """Count the nodes that so many ranks need."""
        return math.ceil(size / self.per_node)

    def slowest(self, size: int) -> Link:
        """Take the worse of the links that a ring of so many ranks passes."""
        if size <= self.per_node:
            return self.inside
        return Link(
            max(self.inside.alpha, self.outside.alpha),
            max(self.inside.beta, self.outside.beta),
            max(self.inside.gamma, self.outside.gamma),
        )

    def crowded(self, flows: float) -> "Fabric":
        """Share the links between nodes among so many flows like ours."""
        less = replace(self.outside, beta=self.outside.beta * flows)
        return replace(self, outside=less)


Way = Callable[[int, Fabric, float], float]


def flat_ring(size: int, fabric: Fabric, count: float) -> float:
    """Seconds of one ring through all ranks, node after node.

    All steps of a ring are made together, so the slowest link sets the pace.
    """
    return ring_time(size, count, fabric.slowest(size))


def hierarchy(size: int, fabric: Fabric, count: float) -> float:
    """Seconds if nodes add up inside first, and then among each other.

    A reduce-scatter inside, as many rings between nodes as a node has ranks,
    each with its piece and all on the node's cards, an all-gather inside.
    """
    within, nodes = min(size, fabric.per_node), fabric.nodes(size)
    shared = replace(fabric.outside, beta=fabric.outside.beta * within)
    between = ring_time(nodes, count / within, shared)
    return ring_time(within, count, fabric.inside) + between


def double_tree(size: int, fabric: Fabric, count: float) -> float:
    """Seconds of two trees, each with half of the vector, piece by piece.

    Who is inside one tree is a leaf of the other, so each rank sends two
    vectors in all, as in a ring, but the way is logarithmic (Sanders et al.
    2009). With k pieces, up and down take 2 log2(p) + k rounds; the best k
    gives the formula.
    """
    if size == 1:
        return 0.0
    link = fabric.slowest(size)
    rounds = 2 * math.ceil(math.log2(size))
    start, rest = rounds * link.alpha, 2 * count * link.beta
    return start + rest + 2 * math.sqrt(start * rest)


def halving(size: int, fabric: Fabric, count: float) -> float:
    """Seconds of recursive halving and doubling between the nodes.

    Inside, a reduce and a broadcast as a ring would do them (Thakur et al.
    2005; Goyal et al. 2017, section 4.1).
    """
    within, nodes = min(size, fabric.per_node), fabric.nodes(size)
    rounds = 2 * math.ceil(math.log2(nodes))
    moved = 2 * (nodes - 1) / nodes * count
    between = rounds * fabric.outside.alpha + moved * fabric.outside.beta
    return ring_time(within, count, fabric.inside) + between


WAYS: dict[str, Way] = {
    "flat ring": flat_ring,
    "hierarchy": hierarchy,
    "double tree": double_tree,
    "halving": halving,
}


def step_time(
    work: Work, size: int, fabric: Fabric, way: Way = hierarchy, **how: Any
) -> float:
    """Seconds of a step of so many ranks; `how` is for `simulate`."""
    return simulate(work, partial(way, size, fabric), **how).seconds


def weak(work: Work, size: int, fabric: Fabric, **how: Any) -> float:
    """Efficiency if each rank has a batch of its own: ideal is 1."""
    return step_time(work, 1, fabric, **how) / step_time(
        work, size, fabric, **how
    )


def strong(work: Work, size: int, fabric: Fabric, **how: Any) -> float:
    """Efficiency if the ranks share the one batch: speed-up by ranks."""
    mine = work.share(1 / size)
    alone = step_time(work, 1, fabric, **how)
    return alone / step_time(mine, size, fabric, **how) / size
