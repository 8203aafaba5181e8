"""Ask in one of several ways: what `contend` runs as a child."""

import sys
from pathlib import Path

from parallel_ai.many_machines.bigger_than_memory.contenders import main

if __name__ == "__main__":
    way, limit, *folders = sys.argv[1:]
    sys.exit(main(way, int(limit), [Path(folder) for folder in folders]))
