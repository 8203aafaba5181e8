"""What builds on what: ``{prerequisites}`` draws the chapters as a graph.

The arrows are the links in the line ``:needs:`` of each chapter's head, less
those that follow from others. A link in every box leads to its chapter.
"""

from __future__ import annotations

from functools import cache
from html import escape
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from fingerprint import digest
from tags import element

WIDE, TALL, GAP_X, GAP_Y = 132, 44, 14, 44  # of a box, in pixels
LINE = 16  # letters of a title before it is broken

Needs = dict[str, list[str]]


class drawing(nodes.General, nodes.Element):
    """The place of the graph, until every page has been read."""


class Prerequisites(SphinxDirective):
    """``{prerequisites}``: the graph of all chapters."""

    def run(self) -> list[nodes.Node]:
        """Leave the place free."""
        return [drawing()]


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Keep which pages a chapter's head names."""
    name = app.env.docname
    found = getattr(app.env, "needs", {})
    for line in doctree.findall(nodes.paragraph):
        if "overview-needs" in line.get("classes", ()):
            links = line.findall(addnodes.pending_xref)
            pages = [x["reftarget"] for x in links if x["refdomain"] == "doc"]
            found[name] = found.get(name, []) + pages
    app.env.needs = found  # type: ignore[attr-defined]


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Drop what is known of a page that is read again or gone."""
    getattr(env, "needs", {}).pop(docname, None)


def redrawn(app: Sphinx, env: BuildEnvironment) -> set[str]:
    """Name the pages with a graph, if it has changed."""
    needs: Needs = getattr(env, "needs", {})
    titles = {name: env.titles[name].astext() for name in needs}
    now = digest([needs, titles])
    before = getattr(env, "needs_digest", None)
    env.needs_digest = now  # type: ignore[attr-defined]
    if now == before:
        return set()
    return {n for n in env.found_docs if "drawing" in env.metadata[n]}


def mark(app: Sphinx, doctree: nodes.document) -> None:
    """Remember that a page has a graph."""
    if any(doctree.findall(drawing)):
        app.env.metadata[app.env.docname]["drawing"] = True


def reduced(needs: Needs) -> Needs:
    """Leave out what a chapter needs through another one that it needs."""

    @cache
    def all_of(name: str) -> frozenset[str]:
        own = [n for n in needs.get(name, []) if n in needs]
        return frozenset(own).union(*map(all_of, own))

    return {
        name: [
            one
            for one in dict.fromkeys(direct)
            if one in needs
            and not any(one in all_of(o) for o in direct if o != one)
        ]
        for name, direct in needs.items()
    }


def rows(needs: Needs) -> list[list[str]]:
    """Chapters by the length of the longest way to them."""

    @cache
    def depth(name: str) -> int:
        return 1 + max((depth(n) for n in needs[name]), default=-1)

    found: list[list[str]] = [[] for _ in range(1 + max(map(depth, needs)))]
    for name in needs:
        found[depth(name)].append(name)
    place: dict[str, float] = {}
    for row in found:  # below what is needed, so lines are short
        row.sort(
            key=lambda n: (
                sum(place[p] for p in needs[n]) / max(1, len(needs[n]))
            )
        )
        place |= {n: i for i, n in enumerate(row)}
    return found


def draw(needs: Needs, titles: dict[str, str], links: dict[str, str]) -> str:
    """Write the graph as SVG, in the colours of the page."""
    needs = reduced(needs)
    layers = rows(needs)
    width = max(map(len, layers)) * (WIDE + GAP_X) + GAP_X
    height = len(layers) * (TALL + GAP_Y) - GAP_Y + 2
    at = {
        name: (
            GAP_X
            + WIDE / 2
            + i * (WIDE + GAP_X),  # from the left: a telephone
            1 + level * (TALL + GAP_Y),
        )
        for level, row in enumerate(layers)
        for i, name in enumerate(row)
    }
    lines = "".join(
        _arrow(at[one], at[name]) for name in needs for one in needs[name]
    )
    boxes = "".join(
        f'<a href="{escape(links[name])}">{_said(name, needs, titles)}'
        f'<rect x="{x - WIDE / 2:g}" y="{y:g}" width="{WIDE}"'
        f' height="{TALL}" rx="6"/>{_words(titles[name], x, y)}</a>'
        for name, (x, y) in at.items()
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' xmlns="http://www.w3.org/2000/svg" role="group" aria-label="Chapters,'
        f' and which of them build on which">{lines}{boxes}</svg>'
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (to, down) = start, end
    y, middle = y + TALL, (y + TALL + down) / 2
    return (
        f'<path d="M{x:g} {y:g}C{x:g} {middle:g} {to:g} {middle:g} {to:g}'
        f' {down:g}"/>'
    )


def _said(name: str, needs: Needs, titles: dict[str, str]) -> str:
    """For those who do not see the arrows."""
    below = (
        ", ".join(titles[one] for one in needs[name]) or "nothing before it"
    )
    return f"<title>{escape(titles[name])}, builds on {escape(below)}</title>"


def _words(title: str, x: float, y: float) -> str:
    lines = [""]
    for word in title.split():
        if lines[-1] and len(f"{lines[-1]} {word}") > LINE:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    top = y + TALL / 2 + 5 - 9 * (len(lines) - 1)
    return "".join(
        f'<text x="{x:g}" y="{top + 18 * i:g}">{escape(line)}</text>'
        for i, line in enumerate(lines)
    )


def place(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Draw the graph where it was left free."""
    for node in list(doctree.findall(drawing)):
        needs: Needs = getattr(app.env, "needs", {})
        uri = app.builder.get_relative_uri
        links = {name: uri(docname, name) for name in needs}
        titles = {name: app.env.titles[name].astext() for name in needs}
        svg = draw(needs, titles, links) if needs else ""
        raw = nodes.raw("", svg, format="html")
        node.replace_self(element("div", raw, class_="prerequisites"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_node(drawing)
    app.add_directive("prerequisites", Prerequisites)
    app.connect("env-purge-doc", forget)
    app.connect("doctree-read", collect)
    app.connect("doctree-read", mark)
    app.connect("env-updated", redrawn)
    app.connect("doctree-resolved", place)
    return {"version": "1", "env_version": 1, "parallel_read_safe": False}
