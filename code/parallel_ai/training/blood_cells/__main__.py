"""The training to take home; its options: ``--help``."""

from parallel_ai.training.blood_cells.program import main

if __name__ == "__main__":
    main()
