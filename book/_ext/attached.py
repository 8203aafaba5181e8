"""Pages that a cell has written, such as Dask's report, kept beside the book.

A cell shows ``<a download href="data:text/html;base64,…">``, which a notebook
offers as a download. Here it becomes a link to a file of its own in
``attached/``. What that file would fetch from Bokeh's host is laid beside it,
from the installed package, and its policy lets it fetch nothing else.
"""

from __future__ import annotations

import html
import re
import shutil
from base64 import b64decode
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.osutil import relative_uri

logger = logging.getLogger(__name__)
LINK = re.compile(
    r'<a(?P<before>[^>]*?) download(?:="[^"]*")? '
    r'href="data:text/html;base64,(?P<page>[A-Za-z0-9+/=]+)"'
)
BOKEH = re.compile(
    r"https://cdn\.bokeh\.org/bokeh/release/([\w-]+?)-(\d[\w.]*?)\.min\.js"
)
# Bokeh starts by a script in the page. It makes no code of texts.
POLICY = (
    "default-src 'self' data:; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'"
)


def keep(app: Sphinx, docname: str, body: str) -> str:
    """Write the pages that a page's cells show, and link to them."""
    folder, numbers = Path(app.outdir, "attached"), count(1)

    def written(link: re.Match[str]) -> str:
        page = b64decode(link["page"]).decode("utf8")
        name = f"{docname.replace('/', '-')}-{next(numbers)}.html"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(sealed(page, folder, docname), "utf8")
        here = app.builder.get_target_uri(docname)
        where = html.escape(relative_uri(here, f"attached/{name}"))
        return f'<a{link["before"]} href="{where}"'

    return LINK.sub(written, body)


def sealed(page: str, folder: Path, docname: str) -> str:
    """Make a page that needs no other host, and lay beside it what it needs."""
    bokeh = metadata.distribution("bokeh")
    scripts = Path(str(bokeh.locate_file("bokeh/server/static/js")))
    for name, release in sorted(set(BOKEH.findall(page))):
        if release == bokeh.version:
            target = folder / f"{name}-{release}.min.js"
            shutil.copyfile(scripts / f"{name}.min.js", target)
        else:
            logger.warning(
                "Bokeh %s is not installed, but %s: execute the page anew",
                release, bokeh.version, location=docname,
            )  # fmt: skip
    page = BOKEH.sub(r"\1-\2.min.js", page)
    meta = (
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<link rel="icon" href="data:,">'  # or a browser looks for one
    )
    return re.sub(r"(<meta charset=[^>]*>)", rf"\1{meta}", page, count=1)


def attach(
    app: Sphinx, pagename: str, templatename: str, context: Any, doctree: Any
) -> None:
    """Take the pages out of a page's text."""
    if doctree is not None and "body" in context:
        context["body"] = keep(app, pagename, context["body"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("html-page-context", attach)
    return {"version": "1", "parallel_read_safe": True}
