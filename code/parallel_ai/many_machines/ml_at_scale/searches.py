"""Many models on data that fit: a task for each, and no more than that.

Claim: a search is embarrassingly parallel until candidates are compared;
halving compares them early, and gives the rest of the rows to the best.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from distributed import Client, as_completed

from parallel_ai.many_machines.ml_at_scale.merging import SECONDS
from parallel_ai.many_machines.ml_at_scale.orders import learn, stream_serial
from parallel_ai.many_machines.ml_at_scale.sums import Block


def evaluate(
    model: Any, params: Mapping[str, Any], train: Block, test: Block
) -> dict[str, Any]:
    """Fit one candidate and score it: a row of the frame to come."""
    from sklearn.base import clone

    fitted = clone(model).set_params(**params).fit(*train)
    return {**params, "score": fitted.score(*test)}


def grid_serial(
    model: Any, grid: Mapping[str, Sequence[Any]], train: Block, test: Block
) -> pd.DataFrame:
    """Score every combination of the values, one after the other.

    Parameters
    ----------
    test : pair of arrays
        Rows to choose by. To report a score of the chosen one takes others.
    """
    from sklearn.model_selection import ParameterGrid

    rows = [evaluate(model, p, train, test) for p in ParameterGrid(grid)]
    return pd.DataFrame(rows)


def grid_cluster(
    client: Client,
    model: Any,
    grid: Mapping[str, Sequence[Any]],
    train: Block,
    test: Block,
) -> pd.DataFrame:
    """Score every combination by a task of its own; gather one frame.

    The data go once to every worker, not along with every task.
    """
    from sklearn.model_selection import ParameterGrid

    data = client.scatter([train, test], broadcast=True, hash=False)
    points = list(ParameterGrid(grid))
    rows = client.map(
        evaluate,
        [model] * len(points),
        points,
        train=data[0],
        test=data[1],
        pure=False,
    )
    return pd.DataFrame(client.gather(rows))


class Halving(NamedTuple):
    """Result of a search by halving.

    Attributes
    ----------
    best : dict
        Parameters of the one that is left.
    model : estimator
        It has seen the blocks of its last round.
    history : DataFrame
        A row for each candidate and round: ``candidate``, ``round``,
        ``blocks`` seen so far, ``score``.
    """

    best: dict[str, Any]
    model: Any
    history: pd.DataFrame


def schedule(
    candidates: int, blocks: int, eta: int = 3
) -> list[tuple[int, int]]:
    """Plan the rounds: how many candidates, and how many blocks they see.

    >>> schedule(9, 9)
    [(9, 1), (3, 3), (1, 9)]
    """
    rounds = 1 + math.ceil(math.log(candidates, eta) - 1e-9)
    plan = []
    for r in range(rounds):
        seen = math.ceil(blocks / eta ** (rounds - 1 - r))
        plan.append((math.ceil(candidates / eta**r), seen))
    return plan


def keep_best(scores: Mapping[int, float], count: int) -> list[int]:
    """Keep the `count` best candidates, of equal ones the earlier."""
    return sorted(sorted(scores), key=lambda i: -scores[i])[:count]


def score(model: Any, test: Block) -> float:
    """Share of the test rows that a model labels rightly."""
    return float(model.score(*test))


def halve_serial(
    model: Any,
    candidates: Sequence[Mapping[str, Any]],
    blocks: Sequence[Block],
    test: Block,
    classes: np.ndarray,
    eta: int = 3,
) -> Halving:
    """Search by successive halving, one candidate after the other."""
    from sklearn.base import clone

    models = {
        i: clone(model).set_params(**p) for i, p in enumerate(candidates)
    }
    history, seen = [], 0
    scores = dict.fromkeys(models, 0.0)
    for r, (count, upto) in enumerate(
        schedule(len(candidates), len(blocks), eta)
    ):
        models = {i: models[i] for i in keep_best(scores, count)}
        scores = {}
        for i in models:
            models[i] = stream_serial(models[i], blocks[seen:upto], classes)
            scores[i] = score(models[i], test)
            history.append((i, r, upto, scores[i]))
        seen = upto
    return _finish(candidates, models, scores, history)


def halve(
    client: Client,
    model: Any,
    candidates: Sequence[Mapping[str, Any]],
    blocks: Sequence[Any],
    test: Any,
    classes: np.ndarray,
    eta: int = 3,
) -> Halving:
    """Search by successive halving, the candidates of a round in parallel.

    Parameters
    ----------
    candidates : sequence of dict
        Parameters of each; at least one.
    blocks : sequence of Future
        Of pairs (X, y). Every candidate sees them in this order, a model
        that goes on is not fitted anew.
    test : pair or Future
        Rows to choose by.
    eta : int
        Of so many candidates one goes on, and sees so many times the rows.

    Notes
    -----
    Jamieson and Talwalkar, 2016. Scores are used as they come, ties are
    broken by number: the result does not depend on who was first.
    """
    from sklearn.base import clone

    models = {
        i: clone(model).set_params(**p) for i, p in enumerate(candidates)
    }
    history, seen = [], 0
    scores = dict.fromkeys(models, 0.0)
    for r, (count, upto) in enumerate(
        schedule(len(candidates), len(blocks), eta)
    ):
        models = {i: models[i] for i in keep_best(scores, count)}
        scores = {}
        asked = {}
        for i in models:
            for block in blocks[seen:upto]:
                models[i] = client.submit(
                    learn, models[i], block, classes, pure=False
                )
            asked[client.submit(score, models[i], test, pure=False)] = i
        for done in as_completed(list(asked), timeout=SECONDS):
            scores[asked[done]] = done.result()
        history += [(i, r, upto, scores[i]) for i in models]
        seen = upto
    models = {i: m.result(SECONDS) for i, m in models.items()}
    return _finish(candidates, models, scores, history)


def _finish(
    candidates: Sequence[Mapping[str, Any]],
    models: Mapping[int, Any],
    scores: Mapping[int, float],
    history: Sequence[tuple[int, int, int, float]],
) -> Halving:
    (winner,) = keep_best(scores, 1)
    names = ["candidate", "round", "blocks", "score"]
    frame = pd.DataFrame(history, columns=names)
    return Halving(dict(candidates[winner]), models[winner], frame)
