"""Part V: the trained model outside of the notebook."""
