"""A page about the book's own machinery, taken from the machinery.

``{extensions}`` shows what each extension does, in the words of its own
docstring; so the page cannot tell of one that is gone.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from docstrings import parsed
from listing import address

FOLDER = Path(__file__).parent


class Extensions(SphinxDirective):
    """``{extensions}``: names and ideas, in the order in which they load."""

    def run(self) -> list[nodes.Node]:
        """Make a list of the extensions, then one of what they share."""
        names = {path.stem for path in FOLDER.glob("*.py")}
        loaded = [one for one in self.config.extensions if one in names]
        shared = sorted(names.difference(loaded))
        return [
            nodes.definition_list(
                "", *map(self._item, group), classes=["machinery"]
            )
            for group in (loaded, shared)
            if group
        ]

    def _item(self, name: str) -> nodes.definition_list_item:
        path = FOLDER / f"{name}.py"
        self.env.note_dependency(str(path))
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf8")))
        idea = (doc or "").partition("\n\n")[0]
        url = address(self.env.app, path, FOLDER.parents[1])
        label = nodes.literal("", name)
        link = nodes.reference("", "", label, refuri=url) if url else label
        words = parsed(idea, name, self.state.document.settings)
        return nodes.definition_list_item(
            "", nodes.term("", "", link), nodes.definition("", *words)
        )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.setup_extension("listing")
    app.add_directive("extensions", Extensions)
    return {"version": "1", "parallel_read_safe": True}
