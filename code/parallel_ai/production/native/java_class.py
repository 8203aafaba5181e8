"""A class of Java for a forest and a logistic regression, compiled and run."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from parallel_ai.production.native import compiling
from parallel_ai.production.native.forests import Tree, functions
from parallel_ai.production.native.linear import Weights, checked

FOREST = """final class Forest {{
static final int TREES = {count};
{trees}
static int leaf(int tree, float[] x, int at) {{
switch (tree) {{
{cases}
default: throw new IllegalArgumentException("tree " + tree);
}}
}}
}}
"""


def java_forest(trees: Sequence[Tree]) -> str:
    """Write a forest as a class of Java, a method for each tree.

    A method of Java may have 64 KB of code, so the leaves stay in a file.
    """
    head = "static int tree{}(float[] x, int at)"
    methods = functions(trees, head, nearest=False)
    return FOREST.format(
        count=len(trees),
        trees="\n".join(methods).replace("(x[", "(x[at + "),
        cases="\n".join(
            f"case {t}: return tree{t}(x, at);" for t in range(len(trees))
        ),
    )


def javac(folder: Path, **sources: str) -> str:
    """Compile classes of Java in a folder; what the compiler said."""
    compiler = compiling.tool("javac")
    for name, text in sources.items():
        Path(folder, f"{name}.java").write_text(text, encoding="utf-8")
    files = [f"{name}.java" for name in sources]
    return compiling.run([compiler, "-nowarn", *files], folder)


def run_java(
    weights: Weights, trees: Sequence[Tree], rows: np.ndarray, threads: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Write both models as Java, compile them, and let them answer.

    Returns
    -------
    dict of str to array of float32, (n, 10)
        Probabilities of ``linear`` and ``forest``.
    dict
        For each model: seconds of the ``first`` call and of later ones
        (``p50``, ``p99``), rows a second by one thread and by ``threads``.

    Raises
    ------
    MissingToolError
        There is no JDK here.
    """
    java = compiling.tool("java")
    leaves = np.concatenate([tree.value for tree in trees])
    files = {
        "weights": weights.matrix, "bias": weights.bias,
        "leaves": leaves, "rows": checked(rows, len(weights.matrix)),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        javac(
            folder,
            Predict=compiling.text_of("Predict.java"),
            Forest=java_forest(trees),
        )
        for name, array in files.items():
            array.astype("<f4").tofile(folder / name)
        said = compiling.run(
            [java, "-Xmx400m", "-XX:+UseSerialGC", "Predict", place, threads],
            folder,
        )
        answers = {
            name: np.fromfile(folder / f"{name}.bin", "<f4").reshape(-1, 10)
            for name in ("linear", "forest")
        }
    return answers, json.loads(said)


def code_too_large(values: np.ndarray) -> str:
    """Write numbers into a class itself, and hear what Java says."""
    numbers = ", ".join(f"{float(v).hex()}f" for v in values.ravel())
    with tempfile.TemporaryDirectory() as place:
        text = f"class Leaves {{ static float[] all = {{{numbers}}}; }}"
        try:
            javac(Path(place), Leaves=text)
        except compiling.CompilationError as error:
            return next(
                line for line in str(error).splitlines() if "error" in line
            )
    return "compiled"
