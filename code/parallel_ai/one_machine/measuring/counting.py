"""How many CPUs does this process have? Ask several who ought to know."""

import json
import math
import os
import subprocess
import sys

import joblib

from parallel_ai.toolbox import machine


def cpu_counts() -> dict[str, float | None]:
    """Ask everybody who counts CPUs.

    Returns
    -------
    dict
        Answers by who gave them; None for a quota that is not set or a
        function that this Python lacks.
    """
    process_cpu_count = getattr(os, "process_cpu_count", lambda: None)
    quota = machine.quota()
    return {
        "os.cpu_count()": os.cpu_count(),
        "os.process_cpu_count(), Python 3.13": process_cpu_count(),
        "affinity": machine.affinity(),
        "quota of the control groups": None if math.isinf(quota) else quota,
        "joblib.cpu_count()": joblib.cpu_count(),
        "machine.cpus()": machine.cpus(),
    }


_ASK = """
import json, sys, psutil
me = psutil.Process()
if hasattr(me, "cpu_affinity"):  # not on macOS
    me.cpu_affinity(me.cpu_affinity()[: int(sys.argv[1])])
from parallel_ai.one_machine.measuring import cpu_counts
print(json.dumps(cpu_counts()))
"""


def cpu_counts_on(number: int) -> dict[str, float | None]:
    """Ask the same in a child process that may use only `number` CPUs.

    Raises
    ------
    subprocess.SubprocessError
        The child failed, or did not answer within a minute.
    """
    child = subprocess.run(  # noqa: S603 - our own text
        [sys.executable, "-c", _ASK, str(number)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(child.stdout)
