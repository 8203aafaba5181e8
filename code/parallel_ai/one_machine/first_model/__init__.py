"""A first model, from the file to an honest score, and where it is parallel.

The claim: a linear regression needs from each part of the rows only a small
triangle, so it can be fitted in parts and merged without losing a digit;
and a model is judged by rows that nothing of it has seen, which makes folds:
independent tasks that run side by side.
"""

from parallel_ai.one_machine.first_model.fitting import (
    compare_fits,
    factor,
    fit_factors,
    fit_lstsq,
    fit_products,
    make_rows,
    merge_factors,
    products,
    solve_factor,
    solve_products,
)
from parallel_ai.one_machine.first_model.flights import (
    baseline,
    choose_inside,
    choose_then_split,
    compare_folds,
    load_flights,
    load_times,
    pipeline,
    score_folds,
)
from parallel_ai.one_machine.first_model.points import (
    Line,
    Split,
    best_r_squared,
    fit_line,
    load_points,
    make_points,
    predict,
    r_squared,
    split,
)
from parallel_ai.one_machine.first_model.practice import (
    adjusted_r_squared,
    merge_lines,
    most_speedup,
)

__all__ = [
    "Line",
    "Split",
    "adjusted_r_squared",
    "baseline",
    "best_r_squared",
    "choose_inside",
    "choose_then_split",
    "compare_fits",
    "compare_folds",
    "factor",
    "fit_factors",
    "fit_line",
    "fit_lstsq",
    "fit_products",
    "load_flights",
    "load_points",
    "load_times",
    "make_points",
    "make_rows",
    "merge_factors",
    "merge_lines",
    "most_speedup",
    "pipeline",
    "predict",
    "products",
    "r_squared",
    "score_folds",
    "solve_factor",
    "solve_products",
    "split",
]

COMPARISONS = {"fit of a linear regression": compare_fits}
