"""Faults, injected on purpose and counted: none may lose anything.

On the command line::

    python -m parallel_ai.toolbox.faults             # all, or: make faults
    python -m parallel_ai.toolbox.faults cache clock # kinds with such a word

Each fault is a real one: a process is killed, a disk is full, a byte of a
file is another one. Of each is asked whether it was **noticed**, by a message
that names what is wrong; whether the work **survived** it, with the result of
an undisturbed run, at once or when the same is asked for again; and what was
**lost**: finished work done again, a wrong result, a crash that says nothing,
a process left behind. A fault that is neither noticed nor survived counts as
lost.

Needs a checkout of the repository with its tools (``make faults`` has them),
for the book's extensions are no part of the package.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Inject = Callable[[int, int], Iterator["Outcome"]]  # of how many, and a seed


class UnavailableError(RuntimeError):
    """Such a fault cannot be had on this machine; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """What came of one fault; `lost` is empty if nothing was."""

    noticed: bool
    survived: bool
    lost: str = ""


@dataclass(frozen=True)
class Count:
    """What came of all faults of a kind.

    Attributes
    ----------
    kind : str
    injected, noticed, survived : int
        How many faults.
    lost : tuple of str
        What was lost, a text for each fault that lost something.
    seconds : float
        For all of it, with the undisturbed runs.
    skipped : str
        Why none was injected.
    """

    kind: str
    injected: int
    noticed: int
    survived: int
    lost: tuple[str, ...]
    seconds: float
    skipped: str = ""


def outcome(
    what: str,
    noticed: bool,
    survived: bool,
    problems: Iterable[str | bool] = (),
) -> Outcome:
    """Judge one fault; what is empty or False is no problem."""
    found = [str(problem) for problem in problems if problem]
    if not noticed and not survived and not found:
        found = ["neither noticed nor survived"]
    return Outcome(
        noticed, survived, f"{what}: {'; '.join(found)}" if found else ""
    )


def asked(
    what: str,
    call: Callable[[], Any],
    right: Callable[[Any], bool],
    declared: type[Exception] | tuple[type[Exception], ...],
    named: str = "",
) -> Outcome:
    """Judge a call that has to give the right result or say what is wrong.

    Parameters
    ----------
    what : str
        The fault, in words.
    call : callable
        Is called once.
    right : callable
        Whether its result is that of an undisturbed call.
    declared : exception types
        Those which the function says that it raises.
    named : str
        What the message has to name.
    """
    try:
        survived = right(call())
    except declared as error:
        said = str(error)
        told = bool(said) and named in said
        return outcome(what, told, False, [not told and f"said: {said!r}"])
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        text = f"{type(error).__name__}: {error}"[:300]
        return outcome(what, False, False, [text])
    return outcome(what, False, survived)


def harmed(data: bytes, how: str, chance: random.Random) -> bytes:
    """Return other bytes: `cut` off, one bit `flipped`, or all `garbage`.

    Raises
    ------
    ValueError
        `how` is none of them.
    """
    at = chance.randrange(len(data))
    if how == "cut":
        return data[:at]
    if how == "flipped":
        other = bytes([data[at] ^ (1 << chance.randrange(8))])
        return data[:at] + other + data[at + 1 :]
    if how == "garbage":
        return chance.randbytes(len(data))
    raise ValueError(f"how is {how!r}")


def counted(kind: str, inject: Inject, times: int, seed: int = 0) -> Count:
    """Inject faults of a kind, so many times, and count what came of it."""
    begun = time.perf_counter()
    found: list[Outcome] = []
    skipped, broken = "", ""
    try:
        found.extend(inject(times, seed))
    except UnavailableError as error:
        skipped = str(error)
    except Exception as error:  # noqa: BLE001 - go on with the other kinds
        broken = f"{kind}: {type(error).__name__}: {error}"
    return Count(
        kind,
        len(found),
        sum(one.noticed for one in found),
        sum(one.survived for one in found),
        tuple(filter(None, [*(one.lost for one in found), broken])),
        time.perf_counter() - begun,
        skipped,
    )


def table(counts: Iterable[Count]) -> str:
    """Write the counts for the terminal."""
    counts = list(counts)
    width = max(len(one.kind) for one in counts)
    lines = [f"{'':{width}}  injected  noticed  survived  lost"]
    for one in counts:
        lines.append(
            f"{one.kind:{width}}  {one.injected:8}  {one.noticed:7}"
            f"  {one.survived:8}  {len(one.lost):4}"
            + (f"  skipped: {one.skipped}" if one.skipped else "")
        )
    return "\n".join(lines)
