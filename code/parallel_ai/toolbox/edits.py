"""Makes what a reader changes in a listing's file take effect in a notebook.

``%load_ext parallel_ai.toolbox.edits``, in the notebooks' first cell, turns
on IPython's autoreload. That loads an edited module again and gives its
functions and classes the new code, also where others hold them under a name
of their own. It cannot reach into what a decorator made (``@njit``,
``@contextmanager``, ``@cache``): there the other names are set anew here.
"""

from __future__ import annotations

import sys
from typing import Any

PACKAGE = __name__.partition(".")[0]
Definitions = dict[tuple[str, str], Any]  # by module and name


def load_ipython_extension(shell: Any) -> None:
    """Turn on autoreload, and renew names after it, before each cell."""
    before: Definitions = {}

    def remember(*_: Any) -> None:
        before.clear()
        before.update(definitions())

    def reloaded(*_: Any) -> None:
        loaded = [module.__dict__ for module in modules().values()]
        renew(before, [shell.user_ns, *loaded])

    shell.events.register("pre_run_cell", remember)
    shell.extension_manager.load_extension("autoreload")
    shell.run_line_magic("autoreload", "2")
    shell.events.register("pre_run_cell", reloaded)


def modules() -> dict[str, Any]:
    """Modules of the package that are loaded, by name."""
    return {
        name: module
        for name, module in list(sys.modules.items())
        if f"{name}.".startswith(f"{PACKAGE}.")
    }


def definitions() -> Definitions:
    """Find what the package's modules define, without what they import."""
    return {
        (home, name): value
        for home, module in modules().items()
        for name, value in list(vars(module).items())
        if getattr(value, "__module__", None) == home
    }


def renew(before: Definitions, namespaces: list[dict[str, Any]]) -> None:
    """Point names that still hold an old definition at the new one.

    Parameters
    ----------
    before : dict
        The `definitions` from before modules were loaded again.
    namespaces : list of dict
        Changed in place.
    """
    after = definitions()
    changed = {
        id(old): after[place]
        for place, old in before.items()
        if place in after and after[place] is not old
    }
    for namespace in namespaces:
        for name, value in list(namespace.items()):
            if id(value) in changed:
                namespace[name] = changed[id(value)]
