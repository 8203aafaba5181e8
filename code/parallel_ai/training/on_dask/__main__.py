"""A rank under torchrun, for the comparison; its options are JSON."""

import sys

from parallel_ai.training.on_dask.program import main

if __name__ == "__main__":
    main(sys.argv[1:])
