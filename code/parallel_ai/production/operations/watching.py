"""What to look at: inputs that change, models that do, budgets that burn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 10


def brightness(pixels: np.ndarray) -> np.ndarray:
    """Mean of a picture's pixels: a statistic that costs nearly nothing."""
    return np.asarray(pixels.mean(axis=1))


def edges_of(reference: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Divide a reference into bins of equal shares; the outer ones are open."""
    inner = np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1])
    return np.concatenate([[-np.inf], inner, [np.inf]])


def stability_index(
    reference: np.ndarray, sample: np.ndarray, bins: int = BINS
) -> float:
    """Compute the population stability index, PSI, of a sample.

    Σ (aᵢ − eᵢ) ln(aᵢ / eᵢ) over bins, with the shares expected, e, and
    actual, a. An empty bin counts as half a row.

    Parameters
    ----------
    reference, sample : array of float, (m,) and (n,)
    """
    edges = edges_of(reference, bins)
    expected, actual = (
        np.maximum(np.histogram(x, edges)[0], 0.5) / len(x)
        for x in (reference, sample)
    )
    return float(((actual - expected) * np.log(actual / expected)).sum())


def index_limit(
    reference: int, sample: int, alarms: float, bins: int = BINS
) -> float:
    """Choose the limit of the PSI by the false alarms that one can bear.

    Without drift the PSI is distributed, for many rows, as
    (1/m + 1/n) χ² with bins − 1 degrees of freedom. A limit of 0.2, whatever
    m and n, promises nothing.

    Parameters
    ----------
    reference, sample : int
        Rows, m and n.
    alarms : float
        Probability of an alarm though nothing has changed.
    """
    from scipy import stats

    scale = 1 / reference + 1 / sample
    return float(scale * stats.chi2.ppf(1 - alarms, bins - 1))


def false_alarms(
    reference: int, sample: int, limit: float, bins: int = BINS
) -> float:
    """Compute how often a limit of the PSI alarms for nothing."""
    from scipy import stats

    scale = 1 / reference + 1 / sample
    return float(stats.chi2.sf(limit / scale, bins - 1))


def largest_gap(reference: np.ndarray, sample: np.ndarray) -> float:
    """Kolmogorov and Smirnov's statistic: two staircases' largest distance."""
    points = np.concatenate([reference, sample])
    below = (
        np.searchsorted(np.sort(x), points, side="right") / len(x)
        for x in (reference, sample)
    )
    first, second = below
    return float(np.abs(first - second).max())


def gap_limit(reference: int, sample: int, alarms: float) -> float:
    """Choose the limit of `largest_gap` by the false alarms; for many rows."""
    scale = math.sqrt(1 / reference + 1 / sample)
    return math.sqrt(-math.log(alarms / 2) / 2) * scale


def drifts(pixels: np.ndarray, day: int, seed: int = 0) -> np.ndarray:
    """Change pictures a little more each day, from the sixth on: darker."""
    strength = max(0, day - 5) * 0.04
    draw = np.random.default_rng(seed + day)
    some = pixels[draw.integers(0, len(pixels), 500)]
    return (some * (1 - strength)).astype(np.uint8)


def mirrored(pixels: np.ndarray) -> np.ndarray:
    """Turn pictures upside down: no brightness will ever tell."""
    return pixels[:, ::-1]


def burn_rate(errors: float, requests: float, objective: float) -> float:
    """Say how many times as fast as allowed an error budget is used up.

    Parameters
    ----------
    errors, requests : float
        Of the same time.
    objective : float
        Share of good answers that was promised, such as 0.999.
    """
    return errors / requests / (1 - objective) if requests else 0.0


def budget_left(burn: float, hours: float, period: float = 720.0) -> float:
    """Share of a period's budget that is left after so many hours."""
    return 1 - burn * hours / period


def hours_until_alert(
    bad: float, objective: float, limit: float, window: float
) -> float:
    """Say how long errors go on before a window's burn rate is too high.

    Parameters
    ----------
    bad : float
        Share of requests that fail, from now on; before, none did.
    limit : float
        Burn rate that alerts.
    window : float
        Hours over which it is taken.

    Returns
    -------
    float
        Infinity where it never is.
    """
    share = limit * (1 - objective) / bad if bad else math.inf
    return share * window if share <= 1 else math.inf


@dataclass(frozen=True)
class Alert:
    """A rule: burn rates over a long *and* a short window exceed a limit.

    The long one says that it matters, the short one that it goes on.
    """

    limit: float
    long: int
    short: int


PAGES = (Alert(14.4, 60, 5), Alert(6.0, 360, 30))  # minutes; Google's values


def alerts(
    errors: Sequence[float],
    requests: Sequence[float],
    objective: float,
    rules: Sequence[Alert] = PAGES,
) -> list[int]:
    """List the minutes in which at least one rule holds.

    Parameters
    ----------
    errors, requests : sequence of float
        Of each minute.
    """
    sums = [np.concatenate([[0.0], np.cumsum(x)]) for x in (errors, requests)]

    def burning(minute: int, window: int, limit: float) -> bool:
        first = max(0, minute + 1 - window)
        bad, all_ = (float(s[minute + 1] - s[first]) for s in sums)
        return burn_rate(bad, all_, objective) >= limit * (1 - 1e-9)

    return [
        minute
        for minute in range(len(errors))
        if any(
            burning(minute, rule.long, rule.limit)
            and burning(minute, rule.short, rule.limit)
            for rule in rules
        )
    ]
