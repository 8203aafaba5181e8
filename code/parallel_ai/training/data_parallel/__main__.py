"""The training to take home; its options: ``--help``."""

from parallel_ai.training.data_parallel.program import main

if __name__ == "__main__":
    main()
