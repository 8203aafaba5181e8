"""The record of this machine's roofs."""

from parallel_ai.toolbox import machine
from parallel_ai.toolbox.roofs import (
    copy_bandwidth,
    multiply_rate,
    read_bandwidth,
)


def roofs() -> dict[str, list[float]]:
    """Measure all of them, with one worker and with one for each CPU.

    Returns
    -------
    dict
        ``workers``; ``read`` and ``copy`` in bytes per second; ``float32``
        and ``float64`` in operations per second.
    """
    workers = sorted({1, machine.cpus()})
    return {
        "workers": [float(n) for n in workers],
        "read": [read_bandwidth(n) for n in workers],
        "copy": [copy_bandwidth(n) for n in workers],
        "float32": [multiply_rate("float32", n) for n in workers],
        "float64": [multiply_rate("float64", n) for n in workers],
    }
