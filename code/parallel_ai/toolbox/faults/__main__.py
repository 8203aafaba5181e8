"""Run the faults: see the package."""

import sys

from parallel_ai.toolbox.faults.running import main

if __name__ == "__main__":
    sys.exit(main())
