"""Who is guilty: words for what `run_ddp` has heard and seen."""

from collections.abc import Mapping, Sequence
from typing import Any

from parallel_ai.toolbox.ranks import RankError
from parallel_ai.training.on_dask.placing import Place

Heard = dict[str, dict[int, Any]]  # by kind of message, of which rank
Team = Sequence[Place]


def _named(team: Team, rank: int) -> str:
    return f"rank {rank} of {len(team)} (worker {team[rank].worker})"


def guilty(team: Team, heard: Heard) -> RankError:
    """Say who failed: a lost worker, a dead rank, the first to raise.

    The others fail, too, because they lose the guilty one. Ranks that raise
    stay connected until all are ended, so that the first who is heard to
    raise did not do so because of another one.
    """
    for kind, how in (("lost", "lost its worker."), ("died", "died: ")):
        if found := heard.get(kind):
            said = [
                f"{_named(team, rank)} {how}{found[rank]}"
                for rank in sorted(found)
            ]
            text = "\n".join(said)
            return RankError(
                f"The training was ended, because {text.strip()}",
                sorted(found),
            )
    rank, text = next(iter(heard["error"].items()))
    return RankError(
        f"The training was ended, because {_named(team, rank)} raised.\n\n"
        f"{text}",
        [rank],
    )


def absent(
    team: Team,
    heard: Heard,
    patience: float,
    processing: Mapping[str, Sequence[str]],
) -> RankError:
    """Say whose rank has not joined, and what its worker does instead.

    Parameters
    ----------
    processing : mapping
        By worker, the keys of its tasks, as `Client.processing` gives them.
    """
    missing = [p for p in team if p.rank not in heard.get("joined", {})]
    lines, never = [], []
    for place in missing:
        tasks = [str(key) for key in processing.get(place.worker, ())]
        others = [key for key in tasks if not key.startswith("run-ddp")]
        if place.rank in heard.get("started", {}):
            why = "has started it; it imports, or waits for the others"
        else:
            never.append(place.rank)
            why = f"is busy with {others}" if others else "does not answer"
        lines.append(f"{_named(team, place.rank)}:\n  the worker {why}")
    return RankError(
        f"After {patience:g} s, {len(missing)} of {len(team)} ranks had not "
        "joined.\n" + "\n".join(lines),
        never or [place.rank for place in missing],
    )


def late(
    team: Team, here: Sequence[Place], heard: Heard, seconds: float
) -> RankError:
    """Say where those stand that have not ended."""
    stacks = heard.get("gone", {})
    text = "\n".join(
        f"{_named(team, place.rank)} is here:\n"
        f"{stacks.get(place.rank, 'no answer')}"
        for place in here
    )
    return RankError(
        f"After {seconds:g} s, {len(here)} of {len(team)} ranks had not "
        "ended.\nA collective waits until every rank has called it, in the "
        f"same order.\n{text}",
        [place.rank for place in here],
    )
