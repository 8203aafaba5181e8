"""What all tests of the part begin and end with."""

import os
from collections.abc import Iterator
from multiprocessing import forkserver

import pytest
import torch

COMPILED = "TORCHINDUCTOR_CACHE_DIR"  # the first optimizer sets it


@pytest.fixture(scope="module", autouse=True)
def server_for_ranks():
    """End the server of earlier tests: it has imported Dask, not PyTorch.

    Each rank would import PyTorch itself, which takes seconds. Nothing that
    came from that server is alive between two files.
    """
    forkserver._forkserver._stop()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Leave the CPUs to the ranks, and PyTorch as it was."""
    before, folder = torch.get_num_threads(), os.environ.get(COMPILED)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    if folder is None:
        os.environ.pop(COMPILED, None)
