"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import ipaddress
from collections.abc import Callable, Iterable

from parallel_ai.many_machines.clusters.costing import Job, Rates, cost
from parallel_ai.toolbox.exercises import exercise


def _check_beyond_loopback(
    candidate: Callable[[Iterable[str]], list[str]],
) -> None:
    cases: list[tuple[list[str], list[str]]] = [
        ([], []),
        (["127.0.0.1"], []),
        (["127.8.0.1", "::1"], []),
        (["0.0.0.0"], ["0.0.0.0"]),  # noqa: S104 - looked at, not bound
        (["::"], ["::"]),
        (["::ffff:127.0.0.1"], []),
        (["::ffff:10.0.0.5"], ["::ffff:10.0.0.5"]),
        (
            ["192.168.1.20", "127.0.0.1", "10.0.0.5", "192.168.1.20"],
            ["10.0.0.5", "192.168.1.20"],
        ),
    ]
    for addresses, expected in cases:
        got = candidate(iter(addresses))
        assert got == expected, (
            f"beyond_loopback({addresses}) returned {got}, expected {expected}"
        )


@exercise(_check_beyond_loopback)
def beyond_loopback(addresses: Iterable[str]) -> list[str]:
    """Find the addresses on which other machines might reach us.

    Parameters
    ----------
    addresses : iterable of str
        On which some processes listen: numerical, IPv4 or IPv6. An IPv4
        address may come in IPv6's clothes ("::ffff:127.0.0.1").

    Returns
    -------
    list of str
        Those that are not of the loopback; each once, sorted as text.
    """
    found = set()
    for text in addresses:
        address = ipaddress.ip_address(text)
        inner = getattr(address, "ipv4_mapped", None) or address
        if not inner.is_loopback:
            found.add(text)
    return sorted(found)


def _check_walltime_seconds(candidate: Callable[[str], int]) -> None:
    cases = {
        "30": 1800,
        "1:30": 90,
        "00:30:00": 1800,
        "12:00:05": 43205,
        "2-0": 172_800,
        "1-12:30": 131_400,
        "1-12:30:05": 131_405,
        "0-00:00:01": 1,
    }
    for text, expected in cases.items():
        got = candidate(text)
        assert got == expected, (
            f"walltime_seconds({text!r}) returned {got}, expected {expected}"
        )


@exercise(_check_walltime_seconds)
def walltime_seconds(text: str) -> int:
    """Read a time limit as SLURM's ``sbatch --time`` does.

    Parameters
    ----------
    text : str
        "minutes", "minutes:seconds", "hours:minutes:seconds", "days-hours",
        "days-hours:minutes" or "days-hours:minutes:seconds".

    Returns
    -------
    int
        Seconds.
    """
    days, dash, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, (minutes, seconds) = 0, [*parts, 0][:2]
    whole = int(days or 0) * 24 + hours
    return (whole * 60 + minutes) * 60 + seconds


def _check_best_workers(
    candidate: Callable[[float, float, float, float, int], int],
) -> None:
    cases = [
        (0.1, 10.0, 0.2, 0.0, 100),
        (0.1, 10.0, 0.2, 30.0, 100),
        (0.1, 10.0, 0.2, 30.0, 8),
        (0.0, 10.0, 0.2, 30.0, 64),
        (0.5, 0.4, 2.0, 10.0, 50),
        (0.25, 8.0, 1.0, 2.0, 20),
        (1.0, 3.0, 0.5, 0.5, 1),
    ]
    for fixed, shared, price, waiting, most in cases:
        job, rates = Job(fixed, shared), Rates(price, 0.0, waiting)
        expected = min(
            range(1, most + 1), key=lambda n: round(cost(job, rates, n), 9)
        )
        got = candidate(fixed, shared, price, waiting, most)
        call = f"best_workers{(fixed, shared, price, waiting, most)}"
        assert got in range(1, most + 1), (
            f"{call} returned {got}, expected 1 to {most}"
        )
        assert got == expected, (
            f"{call} returned {got}, which costs"
            f" {cost(job, rates, got):.4g}; {expected} cost"
            f" {cost(job, rates, expected):.4g}"
        )


@exercise(_check_best_workers)
def best_workers(
    fixed: float, shared: float, price: float, waiting: float, most: int
) -> int:
    """Find how many workers cost least, waiting included.

    Parameters
    ----------
    fixed : float
        Hours that no number of workers shortens.
    shared : float
        Hours of one worker that n workers do in ``shared / n``.
    price : float
        Of one worker for an hour.
    waiting : float
        What an hour of waiting costs.
    most : int
        Workers, at most; at least 1.

    Returns
    -------
    int
        From 1 to `most`; the fewest if several cost the same.
    """

    def total(workers: int) -> float:
        hours = fixed + shared / workers
        return round(hours * (workers * price + waiting), 9)

    return min(range(1, most + 1), key=total)
