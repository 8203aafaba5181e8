"""How far a share that was counted can be from the true one."""

import math


def wilson(seen: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Bound a share that was seen in some of n independent cases.

    Parameters
    ----------
    seen, count : int
        Cases in which it was so, and all of them.
    z : float
        Standard errors to each side; with 1.96, 95 of 100 intervals hold
        the true share.

    Returns
    -------
    (low, high)

    Raises
    ------
    ValueError
        More were seen than there are, or there are none.

    Notes
    -----
    Wilson (1927), https://doi.org/10.1080/01621459.1927.10502953. Unlike
    the share plus or minus z standard errors, it does not leave 0 to 1, and
    still says something if none or all were seen.
    """
    if not 0 <= seen <= count or count < 1:
        raise ValueError(f"{seen} of {count} is no share")
    p, weight = seen / count, z * z / count
    half = math.sqrt(p * (1 - p) * weight + weight * weight / 4)
    middle = p + weight / 2
    low, high = (middle - half) / (1 + weight), (middle + half) / (1 + weight)
    return max(0.0, low), min(1.0, high)
