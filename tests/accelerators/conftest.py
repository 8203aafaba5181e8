"""What every test of these chapters wants: one thread, nothing left set."""

import os
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Compute on one thread, and drop the variables that PyTorch sets.

    Small sums are slower on several threads, much so on a busy machine.
    """
    before, environment = torch.get_num_threads(), dict(os.environ)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    for name in set(os.environ) - set(environment):
        if name.startswith(("TORCH", "PYTORCH", "TRITON")):
            del os.environ[name]
