"""The same program on "another machine": which bits change."""

import hashlib
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np

from parallel_ai.toolbox.workers import LIMIT

# Settings that let libraries work as they do on other computers.
MACHINES: dict[str, dict[str, str]] = {
    "as it is": {},
    "one BLAS thread": dict.fromkeys(
        ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
        "1",
    ),
    "an older CPU": {
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    },
}


def digest(value: Any) -> str:
    """Six letters that differ when a bit does."""
    data = np.ascontiguousarray(value).tobytes()
    return hashlib.sha256(data).hexdigest()[:6]


def results() -> dict[str, str]:
    """Compute ordinary things from one seed; digests of the results."""
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 100, 200_000)
    real = rng.random(200_000)
    matrix = real[:90_000].reshape(300, 300)
    airports = {"EWR", "JFK", "LGA", "BOS", "ORD", "LAX", "SFO", "ATL"}
    return {
        "whole random numbers": digest(whole),
        "uniform random numbers": digest(real),
        "sum of whole numbers": digest(whole.sum()),
        "np.sum": digest(real.sum()),
        "np.exp": digest(np.exp(real)),
        "dot product (BLAS)": digest(real @ real),
        "matrix product (BLAS)": digest(matrix @ matrix),
        "order of a set of strings": digest(list(airports)),
    }


def results_on(machine: str) -> dict[str, str]:
    """Compute the same in a new process with the settings of `MACHINES`."""
    program = f"from {__name__} import *; print(json.dumps(results()))"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        env={**os.environ, **MACHINES[machine]},
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT,
    )
    return dict(json.loads(done.stdout))
