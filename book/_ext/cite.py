"""A fold at the foot of every page: how to cite it, in words and as BibTeX.

Both are made of ``CITATION.cff`` at the root, the page's title and its
address. The first page cites the whole book. Each text has the button to copy
that all code has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from tags import element

FILE = "CITATION.cff"
# What TeX would take for a command.
SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
Citation = Mapping[str, Any]


def names(citation: Citation) -> list[str]:
    """List the authors as they are called, given names first."""
    return [
        one.get("name") or f"{one['given-names']} {one['family-names']}"
        for one in citation["authors"]
    ]


def bibtex_names(citation: Citation) -> str:
    """Write the authors for BibTeX: a group's name is never taken apart."""
    return " and ".join(
        f"{{{escaped(one['name'])}}}"
        if "name" in one
        else escaped(f"{one['family-names']}, {one['given-names']}")
        for one in citation["authors"]
    )


def escaped(text: str) -> str:
    """Write a text for TeX."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def year(citation: Citation) -> str:
    """Year of the version that is cited."""
    return str(citation["date-released"])[:4]


def in_words(citation: Citation, title: str, address: str) -> str:
    """Cite a page, or the whole book if `title` is empty, in a line."""
    *first, last = names(citation)
    who = f"{', '.join(first)} and {last}" if first else last
    book = f"{citation['title']}, version {citation['version']}"
    where = f"{title}. In: {book}" if title else book
    return f"{who} ({year(citation)}). {where}. {address}".rstrip()


def bibtex(citation: Citation, key: str, title: str, address: str) -> str:
    """Cite a page, or the whole book if `title` is empty, for BibTeX."""
    kind, of = ("incollection", "booktitle") if title else ("book", "title")
    fields = {"author": bibtex_names(citation)}
    if title:
        fields["title"] = f"{{{escaped(title)}}}"  # keeps its capitals
    fields |= {
        of: f"{{{escaped(citation['title'])}}}",
        "year": year(citation),
        "note": f"Version {citation['version']}",
        "url": address,
    }
    lines = [f"  {n:9} = {{{text}}}," for n, text in fields.items() if text]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def key(citation: Citation, docname: str) -> str:
    """Name an entry by the book and the page's file."""
    book = citation["title"].partition(":")[0].lower()
    book = re.sub(r"[^a-z0-9]+", "-", book).strip("-")
    return f"{book}:{docname.rpartition('/')[2]}" if docname else book


def read(app: Sphinx) -> None:
    """Read the file; a book without one has no folds."""
    path = Path(app.srcdir) / FILE
    app.citation = None  # type: ignore[attr-defined]
    if not path.exists():
        return
    found = yaml.safe_load(path.read_text(encoding="utf8"))
    wanted = ("title", "authors", "version", "date-released")
    if missing := [field for field in wanted if not found.get(field)]:
        raise ExtensionError(f"cite: {FILE} lacks {', '.join(missing)}")
    app.citation = found  # type: ignore[attr-defined]


def depend(app: Sphinx, doctree: nodes.document) -> None:
    """Build a page again when the file has changed."""
    if app.citation:  # type: ignore[attr-defined]
        app.env.note_dependency(str(Path(app.srcdir) / FILE))


def add_fold(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Append the fold to a page."""
    citation: Citation | None = app.citation  # type: ignore[attr-defined]
    if citation is None or app.builder.format != "html":
        return
    whole = docname == app.config.root_doc
    title = "" if whole else app.env.titles[docname].astext()
    address = app.config.html_baseurl
    if address and not whole:
        address += app.builder.get_target_uri(docname)
    entry = key(citation, "" if whole else docname)
    words = in_words(citation, title, address)
    tex = bibtex(citation, entry, title, address)
    doctree += element(
        "details",
        element("summary", text=f"Cite this {'book' if whole else 'page'}"),
        nodes.literal_block(words, words, language="text"),
        nodes.literal_block(tex, tex, language="bibtex"),
        class_="cite",
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.setup_extension("tags")
    app.connect("builder-inited", read)
    app.connect("doctree-read", depend)
    app.connect("doctree-resolved", add_fold)
    return {"version": "1", "parallel_read_safe": True}
