"""Part II: many machines, and data that no memory holds."""
