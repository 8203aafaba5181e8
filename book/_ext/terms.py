"""The first use of a glossary's word on a page leads to its definition.

Authors write plain words, and define them once in a ``{glossary}``. On each
page the first one of each becomes a link that shows the definition when it is
pointed at. A changed definition is a change of every page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from fingerprint import digest

# Where a word is no prose, or leads somewhere already.
APART = (
    nodes.reference,
    nodes.literal,
    nodes.title,
    nodes.caption,
    nodes.term,
    nodes.citation,
    nodes.footnote,
    addnodes.pending_xref,
    addnodes.only,
)
APART_CLASSES = {
    "admonition-title",
    "cell",
    "executed-foot",
    "keypoints",
    "overview",
    "quiz",
    "route",
}


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Keep the terms of a glossary, with anchor and definition."""
    found = {}
    for glossary in doctree.findall(addnodes.glossary):
        for item in glossary.findall(nodes.definition_list_item):
            meaning = " ".join(
                part.astext()
                for part in item.children
                if isinstance(part, nodes.definition)
            )
            for term in item.findall(nodes.term):
                where = [app.env.docname, term["ids"][0], plain(meaning)]
                found[term.astext()] = where
    if found:
        app.env.terms = found  # type: ignore[attr-defined]


def plain(meaning: str) -> str:
    """Write a definition as a tooltip can show it: without TeX."""
    for tex, written in ((r"\alpha", "α"), (r"\beta", "β"), ("\\", "")):
        meaning = meaning.replace(tex, written)
    return " ".join(meaning.split())


def redefined(app: Sphinx, env: BuildEnvironment) -> set[str]:
    """Name all pages if the glossary is another one than at the last build."""
    now = digest(getattr(env, "terms", {}))
    before = getattr(env, "terms_digest", None)
    env.terms_digest = now  # type: ignore[attr-defined]
    return set() if before in (None, now) else set(env.found_docs)


def pattern(terms: list[str]) -> re.Pattern[str]:
    """Find any of the terms, the longest first, alone or in the plural.

    The first letter may be a capital, if the term is no abbreviation.
    """
    ways = []
    for term in sorted(terms, key=len, reverse=True):
        first, rest = term[0], re.escape(term[1:]).replace("'", "['’]")
        if term[:2].isupper():
            first = re.escape(first)
        else:
            first = f"[{first.upper()}{first.lower()}]"
        ways.append(first + rest)
    return re.compile(rf"(?<![\w-])({'|'.join(ways)})s?(?![\w-])")


def paragraphs(doctree: nodes.document) -> Iterator[nodes.paragraph]:
    """Paragraphs of the text, not of an exercise or of what a cell printed."""
    for paragraph in list(doctree.findall(nodes.paragraph)):
        above: nodes.Node | None = paragraph
        while above is not None:
            classes = set(getattr(above, "attributes", {}).get("classes", ()))
            if isinstance(above, APART) or classes & APART_CLASSES:
                break
            above = above.parent
        else:
            yield paragraph


def link(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Make a link of the first use of each term."""
    terms: dict[str, list[str]] = getattr(app.env, "terms", {})
    if app.builder.format != "html" or not terms:
        return
    if docname == next(iter(terms.values()))[0]:
        return
    known = {term.lower().replace("'", "’"): term for term in terms}
    left, search = set(terms), pattern(list(terms))
    for text in [
        child
        for paragraph in paragraphs(doctree)
        for child in paragraph.children
        if isinstance(child, nodes.Text)  # no code, and no link
    ]:
        parts: list[nodes.Node] = []
        end, source = 0, str(text)
        for found in search.finditer(source):
            term = known[found[1].lower().replace("'", "’")]
            if term in left:
                left.remove(term)
                parts.append(nodes.Text(source[end : found.start()]))
                parts.append(reference(app, docname, found[0], terms[term]))
                end = found.end()
        if parts:
            parts.append(nodes.Text(source[end:]))
            text.parent.replace(text, parts)


def reference(
    app: Sphinx, docname: str, word: str, where: list[str]
) -> nodes.reference:
    """Make the link of a word."""
    page, anchor, meaning = where
    return nodes.reference(
        "",
        word,
        internal=True,
        refuri=f"{app.builder.get_relative_uri(docname, page)}#{anchor}",
        reftitle=meaning,
        classes=["glossed"],
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("doctree-read", collect)
    app.connect("env-updated", redefined)
    app.connect("doctree-resolved", link)
    return {"version": "1", "env_version": 1, "parallel_read_safe": False}
