"""Pages are whole and new, also after a kill and when a clock was set back.

Sphinx compares times. It reads a page again if the page, or a file that it
shows, is younger than the last reading; and it writes one if the page is
younger than what was written. So an edit looks old when the clock has been set
back, and half a page looks new when a build was killed while it wrote. Here
files are compared with what they were when the page was read, and a build
that began to write and did not end is followed by one that writes everything.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


def states(env: Any, docname: str) -> list[list[int] | None]:
    """Time and size of a page's file and of all files that it shows."""
    names = [env.doc2path(docname), *sorted(env.dependencies[docname])]
    return [state(os.path.join(env.srcdir, name)) for name in names]


def state(path: str) -> list[int] | None:
    """Time and size of a file; None if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size]


def changed_files(
    app: Any, env: Any, added: set, changed: set, removed: set
) -> list[str]:
    """Pages of which a file is another one than when they were read."""
    before = getattr(env, "steady_states", {})
    return [n for n in env.all_docs if before.get(n) != states(env, n)]


def begin_to_write(app: Any, env: Any) -> set[str]:
    """Note what was read; name all pages, if the last build did not end."""
    env.steady_states = {n: states(env, n) for n in env.all_docs}
    mark = unfinished(app)
    if mark.exists():
        return set(env.found_docs)
    mark.touch()
    return set()


def end(app: Sphinx, error: Exception | None) -> None:
    """Note that everything was written."""
    if error is None:
        unfinished(app).unlink(missing_ok=True)


def unfinished(app: Any) -> Path:
    """File that is there while pages are written."""
    return Path(app.outdir).parent / ".unfinished"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx; `fresh` brings it."""
    app.connect("env-get-outdated", changed_files)
    app.connect("env-updated", begin_to_write)
    app.connect("build-finished", end, priority=890)  # before the lock goes
    return {"version": "1", "env_version": 1, "parallel_read_safe": True}
