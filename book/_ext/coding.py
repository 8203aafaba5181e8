"""Exercises that are checked: ``{coding} name`` for an `@exercise` function.

The starter is generated from the hidden solution. In the notebook, starter
and check are cells; on the page they are shown, with hints and solution to
unfold. Each sentence of the hints is a step of its own.
"""

from __future__ import annotations

import ast
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from listing import NotFound, block, dotted, find, fold, root
from parallel_ai.toolbox.exercises import starter_of
from tags import element

# Between two sentences, of which the second may begin with code or a formula.
BETWEEN = re.compile(r"(?<=[.!?])\s+(?![a-z\s])")


class Coding(SphinxDirective):
    """``{coding} name``: starter, check, hints (the body) and solution."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Build the exercise."""
        name = self.arguments[0]
        try:
            source = find(name, self.env.docname)
        except NotFound as error:
            raise self.error(str(error)) from error
        if not isinstance(source.node, ast.FunctionDef):
            raise self.error(f"{name} is not a function")
        self.env.note_dependency(str(source.path))
        chapter = dotted(root() / self.env.docname.removeprefix("book/"))
        package, _, module = chapter.rpartition(".")
        check = (
            "from parallel_ai.toolbox.exercises import check\n"
            f"from {package} import {module}\n\n"
            f"check({name}, {module})"
        )
        title = element("p", text="Exercise: ", class_="coding-title")
        title += nodes.literal(name, name)
        box = element("section", title, class_="coding", aria_label=name)
        box += cell(starter_of(source.node))
        box += cell(check)
        if self.content:
            hints = nodes.container()
            self.state.nested_parse(self.content, self.content_offset, hints)
            box += steps(hints.children)
        box += fold("Solution", block(self.env.app, [source], whole=True))
        return [box]


def steps(hints: list[nodes.Node]) -> list[nodes.Node]:
    """Fold each sentence by itself; what is no text stays together."""
    if not all(isinstance(part, nodes.paragraph) for part in hints):
        return [fold("Hint", *hints)]
    found = [
        nodes.paragraph("", "", *parts)
        for paragraph in hints
        for parts in sentences(paragraph.children)
    ]
    names = [f"Hint {n} of {len(found)}" for n in range(1, len(found) + 1)]
    if len(found) == 1:
        names = ["Hint"]
    return [fold(*one) for one in zip(names, found, strict=True)]


def sentences(inline: list[nodes.Node]) -> list[list[nodes.Node]]:
    """Part what stands in a paragraph at the ends of its sentences."""
    found: list[list[nodes.Node]] = [[]]
    for part in inline:
        if not isinstance(part, nodes.Text):
            found[-1].append(part)
            continue
        first, *rest = BETWEEN.split(part)
        found[-1].append(nodes.Text(first))
        found += [[nodes.Text(text)] for text in rest]
    return found


def cell(code: str) -> nodes.literal_block:
    """Show code that becomes a cell in the notebook."""
    node = nodes.literal_block(code, code, language="python")
    node["notebook_code"] = code.rstrip()
    return node


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.setup_extension("listing")
    app.add_directive("coding", Coding)
    return {"version": "1", "parallel_read_safe": True}
