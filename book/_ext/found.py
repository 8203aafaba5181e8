"""What search engines and other sites show of a page: title, lines, address.

Also `robots.txt` and `sitemap.xml`, once a build is finished, and the page at
the root of the site, which leads to the first page of the book.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from policy import meta

LONGEST = 155  # characters that search engines show
SHORTEST = 40  # a paragraph with less says nothing alone
PICTURE = "_static/page.webp"
ROOT = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{policy}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={page}">
<link rel="icon" href="data:,">
<title>{title}</title>
</head>
<body><p><a href="{page}">{title}</a></p></body>
</html>
"""


def describe(
    app: Sphinx, pagename: str, templatename: str, context: Any, doctree: Any
) -> None:
    """Add description, address and picture to a page's head."""
    book = context["docstitle"]
    title = pagename.capitalize()
    if pagename in app.env.titles:
        title = app.env.titles[pagename].astext()
    text = shortened(sentences(doctree)) if doctree else ""
    text = text or f"{title}: {book}"
    values = {
        "og:title": title,
        "og:description": text,
        "og:type": "article",
        "og:site_name": book,
    }
    if app.config.html_baseurl:
        values["og:url"] = context["pageurl"]
        values["og:image"] = app.config.html_baseurl + PICTURE
    lines = [f'<meta name="description" content="{escape(text)}" />']
    lines += [
        f'<meta property="{name}" content="{escape(value)}" />'
        for name, value in values.items()
    ]
    context["metatags"] = "\n    ".join([context.get("metatags", ""), *lines])


def sentences(doctree: nodes.document) -> Iterator[str]:
    """Yield what a page is about: a chapter's question, then its text."""
    texts = [p for p in doctree.findall(nodes.paragraph) if not skipped(p)]
    for paragraph in texts:
        if "overview-question" in paragraph["classes"]:
            yield paragraph.astext()
    for paragraph in texts:
        if not paragraph["classes"] and len(paragraph.astext()) >= SHORTEST:
            yield paragraph.astext()


def skipped(paragraph: nodes.paragraph) -> bool:
    """Tell if it is in a list or a table, which begin in the middle."""
    return isinstance(paragraph.parent, nodes.list_item | nodes.entry)


def shortened(texts: Iterator[str]) -> str:
    """Join texts until they are long enough, and cut after a word."""
    text = ""
    for more in texts:
        text = f"{text} {' '.join(more.split())}".strip()
        if len(text) > LONGEST:
            return text[: LONGEST + 1].rpartition(" ")[0].rstrip(",;:") + " …"
    return text


def list_pages(app: Sphinx, error: Exception | None) -> None:
    """Write the list of pages that search engines read."""
    base = app.config.html_baseurl
    if error or app.builder.format != "html" or not base:
        return
    folder = Path(app.outdir)
    lines = "\n".join(
        f"<url><loc>{escape(base + app.builder.get_target_uri(name))}</loc></url>"
        for name in sorted(app.env.found_docs)
    )
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    (folder / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<urlset xmlns="{space}">\n{lines}\n</urlset>\n',
        encoding="utf8",
    )
    (folder / "robots.txt").write_text(
        f"User-agent: *\nAllow: /\nSitemap: {base}sitemap.xml\n",
        encoding="utf8",
    )


def lead_inside(app: Sphinx, error: Exception | None) -> None:
    """Write the page at the root, where the book's first page is another one.

    The table of contents brings one, without policy, language and title.
    """
    first = app.config.root_doc
    if error or app.builder.format != "html" or first == "index":
        return
    text = ROOT.format(
        policy=meta(),
        page=escape(app.builder.get_target_uri(first)),
        title=escape(app.config.html_title or app.config.project),
    )
    path = Path(app.outdir) / "index.html"
    if not path.exists() or path.read_text(encoding="utf8") != text:
        path.write_text(text, encoding="utf8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("html-page-context", describe)
    app.connect("build-finished", list_pages)
    app.connect("build-finished", lead_inside)
    return {"version": "1", "parallel_read_safe": True}
