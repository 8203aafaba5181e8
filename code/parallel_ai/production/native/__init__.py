"""Native and parallel: the same models outside of Python.

The claim: C, ONNX Runtime and Java give Python's answers on every row of a
real test set, take a part of its time for one row, and for many rows end at
the same roofs of the machine as the best of Python does. All of it, with
what takes a minute to compile::

    python -m parallel_ai.toolbox.records native
"""

from functools import partial

from parallel_ai.production.native.boosting import (
    LightGBMError,
    NativeBooster,
    Tl2cgenModel,
)
from parallel_ai.production.native.compiling import (
    CompilationError,
    MissingToolError,
    build,
    load,
    run,
    text_of,
    tool,
    vectorised,
    version,
)
from parallel_ai.production.native.deep import (
    build_ahead,
    compare_ahead,
    compile_ahead,
    eager,
    in_batches,
    onnx_sessions,
    pictures,
    run_ahead,
    run_onnx,
)
from parallel_ai.production.native.forests import (
    CompiledForest,
    PackedForest,
    Tree,
    below,
    branches,
    cython_forest,
    forest_source,
    functions,
    packed,
    trees_of,
)
from parallel_ai.production.native.java_class import (
    code_too_large,
    java_forest,
    javac,
    run_java,
)
from parallel_ai.production.native.latency import (
    batch_curve,
    calls_made,
    fit_line,
    one_by_one,
    percentiles,
)
from parallel_ai.production.native.layers import anatomy, gil
from parallel_ai.production.native.linear import (
    InputError,
    NativeLinear,
    Weights,
    cffi_linear,
    checked,
    numba_linear,
    numpy_linear,
)
from parallel_ai.production.native.practice import (
    rows_from,
    rows_to_gain,
    struct_size,
)
from parallel_ai.production.native.sections import (
    SECTIONS,
    ahead,
    batches,
    compare_many,
    compare_one,
    everything,
    java,
    ladder,
    record,
    scaling,
    shown,
)
from parallel_ai.production.native.trained import Trained, as_rows, trained
from parallel_ai.production.native.traps import (
    all_traps,
    changed_answers,
    halves_of_the_smallest,
    nan_under_fast_math,
    refused,
    rounded_thresholds,
    struct_sizes,
    undeclared,
    unloaded,
    wrong_columns,
    wrong_layout,
)
from parallel_ai.production.native.ways import (
    TOLERANCES,
    Way,
    all_ways,
    compare_ways,
    disagreement,
    judge,
    limited,
)

__all__ = [
    "SECTIONS",
    "TOLERANCES",
    "CompilationError",
    "CompiledForest",
    "InputError",
    "LightGBMError",
    "MissingToolError",
    "NativeBooster",
    "NativeLinear",
    "PackedForest",
    "Tl2cgenModel",
    "Trained",
    "Tree",
    "Way",
    "Weights",
    "ahead",
    "all_traps",
    "all_ways",
    "anatomy",
    "as_rows",
    "batch_curve",
    "batches",
    "below",
    "branches",
    "build",
    "build_ahead",
    "calls_made",
    "cffi_linear",
    "changed_answers",
    "checked",
    "code_too_large",
    "compare_ahead",
    "compare_many",
    "compare_one",
    "compare_ways",
    "compile_ahead",
    "cython_forest",
    "disagreement",
    "eager",
    "everything",
    "fit_line",
    "forest_source",
    "functions",
    "gil",
    "halves_of_the_smallest",
    "in_batches",
    "java",
    "java_forest",
    "javac",
    "judge",
    "ladder",
    "limited",
    "load",
    "nan_under_fast_math",
    "numba_linear",
    "numpy_linear",
    "one_by_one",
    "onnx_sessions",
    "packed",
    "percentiles",
    "pictures",
    "record",
    "refused",
    "rounded_thresholds",
    "rows_from",
    "rows_to_gain",
    "run",
    "run_ahead",
    "run_java",
    "run_onnx",
    "scaling",
    "shown",
    "struct_size",
    "struct_sizes",
    "text_of",
    "tool",
    "trained",
    "trees_of",
    "undeclared",
    "unloaded",
    "vectorised",
    "version",
    "wrong_columns",
    "wrong_layout",
]

COMPARISONS = {
    "logistic regression, one row: NumPy and native": partial(
        compare_one, "logistic regression", "NumPy"
    ),
    "logistic regression, 10,000 rows: NumPy and native": partial(
        compare_many, "logistic regression", "NumPy"
    ),
    "forest, one row: scikit-learn's trees and native": partial(
        compare_one, "forest", "its trees alone"
    ),
    "forest, 10,000 rows: scikit-learn and native": partial(
        compare_many, "forest", "scikit-learn"
    ),
    "boosted trees, one row: LightGBM and native": partial(
        compare_one, "boosted trees", "LightGBM"
    ),
    "boosted trees, 10,000 rows: LightGBM and native": partial(
        compare_many, "boosted trees", "LightGBM"
    ),
    "network, one row: PyTorch and ONNX Runtime": partial(
        compare_one, "network", "PyTorch"
    ),
    "network, 10,000 rows: PyTorch and ONNX Runtime": partial(
        compare_many, "network", "PyTorch"
    ),
}
RECORDS = {"native": record}
