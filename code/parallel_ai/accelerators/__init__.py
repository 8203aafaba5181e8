"""Part III: CPU against GPU, and deep learning on one device."""
