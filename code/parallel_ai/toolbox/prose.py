"""Put measured numbers into prose, so that text and figure never disagree."""

import sys


def glue(name: str, text: object) -> None:
    """Publish `text` for ``{glue:text}`` in the prose of this page.

    It shows nothing where it is called. Outside a notebook it does nothing.

    Parameters
    ----------
    name : str
        What the prose asks for; unique on its page.
    text : object
        What stands there, through `str`.

    Notes
    -----
    The same message that `myst_nb.glue` sends
    (https://myst-nb.readthedocs.io/en/latest/render/glue.html), without
    importing Sphinx into every kernel and without needing MyST-NB in Colab.
    MyST-NB reads a text without quotes as a Python literal, so that 12,345
    would become a pair and 1.50 lose its zero.
    """
    if "IPython" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        return
    prefix = "application/papermill.record/"
    display(
        {prefix + "text/plain": repr(str(text))},
        raw=True,
        metadata={"scrapbook": {"name": name, "mime_prefix": prefix}},
    )
