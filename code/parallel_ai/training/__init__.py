"""Part IV: training on many devices and many machines."""
