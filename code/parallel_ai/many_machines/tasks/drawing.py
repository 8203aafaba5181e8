"""Graphs drawn from left to right, ours and Dask's."""

from collections.abc import Collection, Hashable, Mapping
from itertools import count, cycle
from statistics import mean
from typing import TYPE_CHECKING, Any

from dask import is_dask_collection
from dask._task_spec import convert_legacy_graph
from dask.utils import key_split

from parallel_ai.many_machines.tasks.graphs import needs

if TYPE_CHECKING:  # workers import this module, and draw nothing
    from matplotlib.axes import Axes


def inputs(graph: Any) -> dict[Hashable, list[Hashable]]:
    """List the inputs of each task of our graph, or of Dask's collection."""
    if not is_dask_collection(graph):
        return {key: needs(graph, key) for key in graph}
    tasks = convert_legacy_graph(dict(graph.__dask_graph__()))
    return {key: sorted(task.dependencies) for key, task in tasks.items()}


def colours(keys: Collection[Hashable]) -> dict[str, str]:
    """Give each kind of task a colour, in the order of the keys."""
    from parallel_ai.toolbox import figures as f

    palette = (f.SKY, f.BLUE, f.GREEN, f.PINK, f.AMBER, f.ORANGE, f.BLACK)
    names = dict.fromkeys(key_split(key) for key in keys)
    return dict(zip(names, cycle(palette), strict=False))


def draw(
    ax: "Axes",
    inputs: Mapping[Hashable, Collection[Hashable]],
    colors: Mapping[str, str],
    size: float = 110,
) -> None:
    """Draw tasks as points, each to the right of all that it needs."""
    import networkx as nx

    from parallel_ai.toolbox import figures

    net = nx.DiGraph()
    net.add_nodes_from(inputs)
    net.add_edges_from(
        (other, key) for key, others in inputs.items() for other in others
    )
    place: dict[Hashable, tuple[float, float]] = {}
    rows = count()
    for level, keys in enumerate(nx.topological_generations(net)):
        for key in keys:
            before = [place[other][1] for other in net.predecessors(key)]
            place[key] = (level, mean(before) if before else next(rows))
    nx.draw_networkx_edges(
        net, place, ax=ax, node_size=size, edge_color=figures.FAINT
    )
    for name, color in colors.items():
        keys = [key for key in net if key_split(key) == name]
        if keys:
            nx.draw_networkx_nodes(
                net, place, keys, size, color, ax=ax, label=name
            )
    ax.set_axis_off()
