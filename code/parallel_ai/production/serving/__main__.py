"""Run the service: ``python -m parallel_ai.production.serving name=path``."""

import sys

from parallel_ai.production.serving.starting import main

if __name__ == "__main__":
    sys.exit(main())
