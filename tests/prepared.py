"""Runs builders of books in children of one process that imported them.

Most of the time that a small book takes is imports. What shall run comes as
lines of JSON on standard input, one after the other; each is answered by the
exit status of its child.
"""

import importlib
import json
import os
import signal
import sys

MAINS = {"jupyter-book": "jupyter_book.cli.main", "sphinx": "sphinx.cmd.build"}
# What a build imports besides, except what is the book's own: that may change.
LIBRARIES = (
    "a11y_pygments",
    "alabaster",
    "filelock",
    "jupyter_book.sphinx",
    "myst_nb.sphinx_ext",
    "nbclient",
    "sphinx.builders.html",
    "sphinx.ext.intersphinx",
    "sphinx_book_theme",
    "sphinx_comments",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_external_toc",
    "sphinx_jupyterbook_latex",
    "sphinx_multitoc_numbering",
    "sphinx_thebe",
    "sphinx_togglebutton",
    "sphinxcontrib.bibtex",
    "sqlalchemy.dialects.sqlite",
)


def become(
    command: list[str], folder: str, environment: dict[str, str], said: str
) -> None:
    """Run a command there, with its words in the file `said`."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    words = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for stream, end in enumerate((nothing, words, words)):
        os.dup2(end, stream)
    paths = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*filter(None, paths), *sys.path[1:]]
    sys.argv = command
    sys.exit(sys.modules[MAINS[command[0]]].main())


def serve(seconds: int) -> None:
    """Run what is asked, each for so many seconds at most."""
    for name in (*MAINS.values(), *LIBRARIES):
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            signal.alarm(seconds)
            become(**json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
