"""An index of words: where the book speaks of what, as at the end of a printed one.

``{wordindex}`` lists the words of the glossary, and those of its own lines, one
a line. Each leads to the chapters whose text uses it, there to the section
that does so most; the chapter with the most uses stands out. Listings are not
counted: the search finds those. Sphinx's own index wants a mark at every place,
by hand; here nobody has to remember one.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from fingerprint import digest
from terms import paragraphs, pattern

logger = logging.getLogger(__name__)
Section = tuple[str, str]  # its anchor, "" for the page; its text


class wordindex(nodes.General, nodes.Element):
    """Place of the index, filled when all pages are read."""


class WordIndex(SphinxDirective):
    """``{wordindex}``: the glossary's words and the lines' words, with places."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Keep the words until all pages are read."""
        words = [line.strip() for line in self.content if line.strip()]
        vars(self.env).setdefault("wordindex", set()).add(self.env.docname)
        return [wordindex(words=words)]


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Keep the text of a page, section by section, headings included."""
    found: dict[str, list[str]] = {}
    for text in [*doctree.findall(nodes.title), *paragraphs(doctree)]:
        above: nodes.Node | None = text
        while above is not None and not isinstance(above, nodes.section):
            above = above.parent
        top = above is None or not isinstance(above.parent, nodes.section)
        anchor = "" if top else above["ids"][0]  # type: ignore[index]
        found.setdefault(anchor, []).append(text.astext())
    kept = vars(app.env).setdefault("prose", {})
    kept[app.env.docname] = [(a, "\n".join(t)) for a, t in found.items()]


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget a page."""
    vars(env).setdefault("prose", {}).pop(docname, None)
    vars(env).setdefault("wordindex", set()).discard(docname)


def changed(app: Sphinx, env: BuildEnvironment) -> set[str]:
    """Name the pages with an index, if the book's prose is another one."""
    now = digest(sorted(vars(env).get("prose", {}).items()))
    before = vars(env).get("prose_digest")
    env.prose_digest = now  # type: ignore[attr-defined]
    return set() if before == now else set(vars(env).get("wordindex", ()))


def places(
    words: list[str], prose: dict[str, list[Section]], chapters: list[str]
) -> dict[str, list[tuple[str, str, int]]]:
    """Where each word is used: chapter, section's anchor, times in the chapter."""
    search = pattern(words)
    known = {word.lower().replace("'", "’"): word for word in words}
    found: dict[str, list[tuple[str, str, int]]] = {word: [] for word in words}
    for chapter in chapters:
        uses: dict[str, Counter[str]] = {}
        for anchor, text in prose.get(chapter, []):
            for match in search.finditer(text):
                word = known[match[1].lower().replace("'", "’")]
                uses.setdefault(word, Counter())[anchor] += 1
        for word, by_section in uses.items():
            anchor, _ = by_section.most_common(1)[0]
            found[word].append((chapter, anchor, by_section.total()))
    return found


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Write the index in its place."""
    for place in list(doctree.findall(wordindex)):
        terms: dict[str, list[str]] = vars(app.env).get("terms", {})
        words = sorted({*terms, *place["words"]}, key=str.casefold)
        chapters = [
            name
            for name in getattr(
                app.config, "external_site_map", app.env.titles
            )
            if name.count("/") > 1 and "/reference/" not in name
        ] or [name for name in app.env.titles if name != docname]
        found = places(words, vars(app.env).get("prose", {}), chapters)
        entries = nodes.definition_list(classes=["wordindex"])
        for word in words:
            if not found[word] and word in place["words"]:
                logger.warning(
                    "no chapter speaks of %r", word, location=docname
                )
            if found[word]:
                head = nodes.term("", "", heading(app, docname, word, terms))
                links = leading(app, docname, found[word])
                meaning = nodes.definition("", nodes.paragraph("", "", *links))
                entries += nodes.definition_list_item("", head, meaning)
        place.replace_self(entries)


def heading(
    app: Sphinx, docname: str, word: str, terms: dict[str, list[str]]
) -> nodes.Node:
    """Make the word a link to its definition, if it has one."""
    if word not in terms:
        return nodes.Text(word)
    page, anchor, meaning = terms[word]
    where = f"{app.builder.get_relative_uri(docname, page)}#{anchor}"
    return nodes.reference(
        "", word, internal=True, refuri=where, reftitle=meaning
    )


def leading(
    app: Sphinx, docname: str, found: list[tuple[str, str, int]]
) -> list[nodes.Node]:
    """Make the links to the chapters; the one with the most uses is strong."""
    most = max(times for _, _, times in found)
    links: list[nodes.Node] = []
    for chapter, anchor, times in found:
        uri = app.builder.get_relative_uri(docname, chapter)
        title = app.env.titles[chapter].astext()
        link: nodes.Node = nodes.reference(
            "", title, internal=True, refuri=f"{uri}#{anchor}".rstrip("#")
        )
        if times == most and len(found) > 1:
            link = nodes.strong("", "", link)
            most += 1  # the first one only
        links += [nodes.Text(", "), link]
    return links[1:]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_node(wordindex)
    app.add_directive("wordindex", WordIndex)
    app.connect("doctree-read", collect)
    app.connect("env-purge-doc", purge)
    app.connect("env-updated", changed)
    app.connect("doctree-resolved", fill)
    return {"version": "1", "env_version": 1, "parallel_read_safe": False}
