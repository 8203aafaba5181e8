"""The tested code of the book *Parallel Python for AI*."""
