"""Run the batch job: ``… -m parallel_ai.production.operations --help``."""

import sys

from parallel_ai.production.operations.jobs import main

if __name__ == "__main__":
    sys.exit(main())
