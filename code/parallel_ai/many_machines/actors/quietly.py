"""Ray, without what it says in a notebook that has no ipywidgets."""

import logging
import warnings

logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)
with warnings.catch_warnings(action="ignore"):
    import ray

__all__ = ["ray"]
