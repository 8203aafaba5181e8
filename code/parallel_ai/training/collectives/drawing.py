"""The ring, step by step, drawn from what its messages carried.

Matplotlib is imported by what draws: each rank of a group imports this
chapter, and none of them draws.
"""

from typing import TYPE_CHECKING

import torch

from parallel_ai.training.collectives.algorithms import ring_all_reduce
from parallel_ai.training.collectives.in_memory import Message, run_local

if TYPE_CHECKING:
    from matplotlib.axes import Axes

State = list[torch.Tensor]


def ring_states(size: int) -> tuple[list[State], list[list[Message]]]:
    """Run the ring; tell what each rank had before and after each step.

    Rank r starts with 2**r everywhere. So a number's bits say whose
    numbers are in it, and a message, whether it is added or put in place,
    sets bits.

    Returns
    -------
    tuple
        The states, one more than there are steps, and the messages of each
        step.

    Raises
    ------
    ValueError
        The messages do not explain the results.
    """
    inputs = [torch.full((size,), 2**rank) for rank in range(size)]
    results, _, net = run_local(ring_all_reduce, [x.clone() for x in inputs])
    steps: list[list[Message]] = [[] for _ in range(2 * (size - 1))]
    for message in net.trace:
        steps[message.number - 1].append(message)
    states = [inputs]
    for messages in steps:
        state = [values.clone() for values in states[-1]]
        for _, _, to, start, values in messages:
            state[to][start : start + len(values)] |= values
        states.append(state)
    if not all(map(torch.equal, states[-1], results)):
        raise ValueError("the messages do not explain the results")
    return states, [sorted(m, key=lambda one: one.source) for m in steps]


def draw_ring(axes: "Axes", size: int = 3) -> None:
    """Draw the states as rows of cells, and the messages as arrows."""
    from parallel_ai.toolbox import figures

    states, steps = ring_states(size)
    wide = size + 0.8
    for row, state in enumerate(states):
        for rank, values in enumerate(state):
            for place, value in enumerate(values.tolist()):
                _cell(axes, rank * wide + place, 2 * row, value, size)
        if row == len(steps):
            break
        for message in steps[row]:
            start = message.source * wide + message.start
            end = message.to * wide + message.start
            axes.annotate(
                "", (end + 0.45, 2 * row + 1.95),
                (start + 0.45, 2 * row + 0.95),
                arrowprops={
                    "arrowstyle": "-|>", "color": figures.ORANGE,
                    "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0,
                },
            )  # fmt: skip
    for rank in range(size):
        axes.text(rank * wide + size / 2, -0.25, f"rank {rank}", ha="center")
    axes.set(
        xlim=(-0.1, size * wide - 0.7), ylim=(2 * len(states) - 0.9, -0.9)
    )
    axes.axis("off")


def _cell(axes: "Axes", x: float, y: float, value: int, size: int) -> None:
    """Draw a number as the ranks whose numbers are in it."""
    from matplotlib.patches import Rectangle

    from parallel_ai.toolbox import figures

    ranks = [str(rank) for rank in range(size) if value >> rank & 1]
    whole = len(ranks) == size
    axes.add_patch(
        Rectangle(
            (x, y), 0.9, 0.95, edgecolor=figures.INK, linewidth=1,
            facecolor=figures.GREEN if whole else figures.BLUE,
            alpha=0.2 + 0.4 * (len(ranks) - 1) / (size - 1),
        )
    )  # fmt: skip
    axes.text(
        x + 0.45, y + 0.5, "".join(ranks), ha="center", va="center",
        fontsize=13,
    )  # fmt: skip
