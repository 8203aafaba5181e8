"""Entries of the reference: a signature, its docstring, where it is taught.

Made when a page is written, with what the pages of the book show by then. A
part has hundreds of entries, so their elements are bare: no class that the
style does not ask for, and a name that is its own link. An entry leads to its
listing, which is its source; only what no page shows leads to the repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from docstrings import Public, parsed, read
from listing import address, dotted
from tags import element, tag

Places = list[tuple[str, str]]  # pages, with an anchor on each


class Writer:
    """Makes the entries of a page, with what the pages show by now."""

    def __init__(
        self,
        app: Sphinx,
        docname: str,
        settings: Any,
        places: dict[str, Places],
    ) -> None:
        self.app, self.docname, self.settings = app, docname, settings
        self.places = places

    def module(self, path: Path, page: str) -> list[nodes.Node]:
        """Show a module: where it is taught, its text, what is public."""
        doc, public = read(path)
        names = {one.name: f"{dotted(path)}.{one.name}" for one in public}
        parts: list[nodes.Node] = []
        where = self.taught(
            [(page, "")] if page in self.app.env.titles else []
        )
        parts.append(line([*where, *dot(where), self.source(path)]))
        parts += self.text(doc, dotted(path), {})
        if public:
            entries = [self.entry(one, path, names) for one in public]
            parts.append(nodes.definition_list("", *entries, classes=["api"]))
        return parts

    def entry(
        self, one: Public, path: Path, names: dict[str, str]
    ) -> nodes.definition_list_item:
        """Show a function, or a class with its methods."""
        full = f"{dotted(path)}.{one.name}"
        term = nodes.term("", "", signature(one, full), ids=[full])
        meaning = nodes.definition("", *self.text(one.doc, full, names))
        if one.kind != "method":
            where = self.taught(self.places.get(full, []))
            meaning += line(where or [self.source(path, one.line)])
        if one.methods:
            entries = [self.entry(m, path, names) for m in one.methods]
            meaning += nodes.definition_list("", *entries, classes=["api"])
        return nodes.definition_list_item("", term, meaning)

    def text(
        self, doc: str, where: str, names: dict[str, str]
    ) -> list[nodes.Node]:
        """Show a docstring; what it names of its own module is a link."""
        found = parsed(doc, where, self.settings)
        for node in found:
            for name in list(node.findall(nodes.literal)):
                target = names.get(name.astext())
                code: nodes.Node = element("code", text=name.astext())
                if target and target != where:
                    code = element("a", code, href=f"#{target}")
                name.replace_self(code)
        return found

    def taught(self, pages: Places) -> list[nodes.Node]:
        """Lead to the pages that show something."""
        parts: list[nodes.Node] = []
        for page, identity in pages:
            uri = self.app.builder.get_relative_uri(self.docname, page)
            uri += identity and f"#{identity}"
            title = self.app.env.titles[page].astext()
            parts += [
                nodes.Text(", " if parts else "Taught in "),
                element("a", text=title, href=uri),
            ]
        return parts

    def source(self, path: Path, number: int = 0) -> nodes.Node:
        """Lead to a file in the repository, or to a line of it."""
        words = f"{path.name}, line {number}" if number else path.name
        url = address(self.app, path)
        if not url:
            return nodes.Text(words)
        at = f"#L{number}" if number else ""
        return element("a", text=words, href=url + at)


def dot(before: list[nodes.Node]) -> list[nodes.Node]:
    """Part links, if there are any before."""
    return [nodes.Text(" · ")] if before else []


def line(links: list[nodes.Node]) -> nodes.paragraph:
    """Make the line of links below a text."""
    return nodes.paragraph("", "", *links, classes=["api-links"])


def signature(one: Public, full: str) -> tag:
    """Make the line that shows how a function is called; its name leads here.

    Methods, which stand below their class, have no such link.
    """
    leaf = one.name.rpartition(".")[2]
    shown = element("code", class_="sig")
    if one.label:
        shown += element("i", text=one.label)
        shown += nodes.Text(" ")
    name = element("a", text=leaf, href=f"#{full}")
    if one.kind == "method":
        name = element("b", text=leaf)
    shown += [name, nodes.Text(one.signature)]
    return shown
