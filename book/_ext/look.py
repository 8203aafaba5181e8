"""The frame of every page: one search field, no script that nobody uses.

The theme below ours (pydata) shows a second search field in a bar of its
own, and stores an empty colour mode that it then complains about. Thebe,
which Jupyter Book always loads, would run cells on another host. And Sphinx
copies a changed stylesheet only when some page is written: here it counts as
a change of every page, which names the stylesheet with its checksum.
What pandas and docutils write is corrected where a screen reader stumbles.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.writers.html5 import HTML5Translator

from fingerprint import digest, text_of

UNUSED = ("sphinx_thebe", "sphinx_comments")
UNUSED_STYLES = ("sphinx-thebe",)  # never copied once thebe is taken out


def settle_theme(app: Sphinx, config: Any) -> None:
    """Set what Jupyter Book's own file has no name for."""
    config.html_theme_options.setdefault("navbar_persistent", [])
    config.html_context.setdefault("default_mode", "auto")
    config.html_use_index = False  # this book defines no entries for one
    if not config.release:
        config.release = config.version = version(Path(app.confdir))


def version(folder: Path) -> str:
    """Version of the package whose book lies in a folder, "" if none does."""
    path = folder / "pyproject.toml"
    if not path.exists():
        return ""
    return tomllib.loads(path.read_text("utf8"))["project"]["version"]


def disconnect_unused(app: Sphinx, config: Any) -> None:
    """Take the extensions that this book does not use out of the build."""
    for listeners in app.events.listeners.values():
        for listener in list(listeners):
            if listener.handler.__module__.startswith(UNUSED):
                listeners.remove(listener)
    styles = app.registry.css_files
    styles[:] = [s for s in styles if not s[0].startswith(UNUSED_STYLES)]


def restyled(app: Sphinx, env: BuildEnvironment) -> set[str]:
    """Name all pages if a stylesheet, a script or a picture of the frame changed."""
    folders = [Path(app.confdir) / f for f in app.config.html_static_path]
    files = [f for folder in folders for f in sorted(folder.rglob("*"))]
    now = digest([[str(f), text_of(f)] for f in files if f.is_file()])
    before = getattr(env, "look_digest", None)
    env.look_digest = now  # type: ignore[attr-defined]
    return set() if before in (None, now) else set(env.found_docs)


def fill_corners(app: Sphinx, doctree: nodes.document) -> None:
    """Make plain cells of the empty headings in the corner of data frames."""
    for raw in doctree.findall(nodes.raw):
        html = raw.astext()
        if 'class="dataframe' in html:
            html = re.sub("<th([^>]*)></th>", r"<td\1></td>", html)
            raw.children = [nodes.Text(html)]


def visit_citation(translator: HTML5Translator, node: nodes.citation) -> None:
    """Write an entry of the references as what it is, an item of a list.

    The role that docutils writes is deprecated and not allowed there.
    """
    HTML5Translator.visit_citation(translator, node)
    start = translator.body.pop()
    translator.body.append(start.replace("doc-biblioentry", "listitem"))


def depart_citation(translator: HTML5Translator, node: nodes.citation) -> None:
    """Write its end."""
    HTML5Translator.depart_citation(translator, node)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("config-inited", settle_theme, priority=100)
    app.connect("config-inited", disconnect_unused, priority=100)
    app.connect("env-updated", restyled)
    app.connect("doctree-read", fill_corners)
    entry = (visit_citation, depart_citation)
    app.add_node(nodes.citation, override=True, html=entry)
    return {"version": "1", "env_version": 1, "parallel_read_safe": True}
