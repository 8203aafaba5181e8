"""Wilson's interval holds the truth as often as it says."""

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_ai.toolbox.intervals import wilson


@given(st.integers(1, 5000), st.data())
def test_it_holds_the_share_and_is_symmetric(count, data):
    seen = data.draw(st.integers(0, count))
    low, high = wilson(seen, count)
    assert 0 <= low <= seen / count + 1e-12
    assert seen / count - 1e-12 <= high <= 1
    assert high - low > 0
    other = wilson(count - seen, count)
    assert (1 - other[1], 1 - other[0]) == pytest.approx((low, high))


@pytest.mark.parametrize("truth", [0.05, 0.3, 0.5])
def test_it_holds_the_truth_as_often_as_it_says(truth):
    """Not by chance: over all outcomes, weighted by the binomial law."""
    held = 0.0
    for seen in range(201):
        low, high = wilson(seen, 200)
        if low <= truth <= high:
            chance = truth**seen * (1 - truth) ** (200 - seen)
            held += comb(200, seen) * chance
    assert held == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("pair", [(-1, 5), (6, 5), (0, 0)])
def test_nonsense_is_an_error(pair):
    with pytest.raises(ValueError, match="no share"):
        wilson(*pair)
