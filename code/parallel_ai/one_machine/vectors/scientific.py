"""SciPy: which of its functions use several cores, and who must ask."""

from collections.abc import Callable

import numpy as np
from scipy import fft, linalg, sparse, spatial
from threadpoolctl import threadpool_limits


def scipy_jobs(images: np.ndarray) -> dict[str, Callable[[int], object]]:
    """Ordinary work of SciPy on images, for a number of threads.

    Parameters
    ----------
    images : array of shape (n, 28, 28), uint8
        At least 4,000 of them.

    Returns
    -------
    dict of str to callable
        Each takes the number of threads, by whatever way the function has
        for it; the sparse product has none.
    """
    some = images[:4000].astype(np.float32)
    flat = some.reshape(len(some), -1)
    gram = flat.T @ flat
    places = flat[:, 300:303]  # three pixels of each: points in space
    tree = spatial.cKDTree(places)
    filled = sparse.csr_array(flat)

    def blas(threads: int, job: Callable[[], object]) -> object:
        with threadpool_limits(threads, user_api="blas"):
            return job()

    return {
        "fft.rfft2, workers=": lambda n: fft.rfft2(some, workers=n),
        "spatial.cKDTree.query, workers=": lambda n: tree.query(
            places, 3, workers=n
        ),
        "linalg.cholesky, BLAS": lambda n: blas(
            n, lambda: linalg.cholesky(gram + np.eye(len(gram)) * 1e6)
        ),
        "linalg.eigvalsh, BLAS": lambda n: blas(
            n, lambda: linalg.eigvalsh(gram)
        ),
        "sparse @ dense": lambda n: blas(n, lambda: filled @ flat[:32].T),
    }
