"""A cell that begins with many imports shows what they are for: the lines after.

Its imports are folded under their names, on the page alone: a notebook has the
cell whole, and so has whoever unfolds it, without JavaScript and on paper.
"""

from __future__ import annotations

import ast
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from tags import element

LEAST = 8  # lines of imports that are worth folding


def leading(source: str) -> tuple[int, list[str]]:
    """Lines at the beginning that import, and the packages; 0 if they are few."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a command of the notebook's, such as %timeit
        return 0, []
    end, names = 0, []
    for node in body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
        else:
            break
        end = node.end_lineno or end
    packages = list(dict.fromkeys(name.partition(".")[0] for name in names))
    return (end, packages) if end >= LEAST else (0, [])


def fold(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Fold the imports of a page's cells."""
    if app.builder.format != "html":
        return
    for code in list(doctree.findall(nodes.literal_block)):
        if "cell_input" not in code.parent.get("classes", ()):
            continue
        lines = code.astext().split("\n")
        end, packages = leading(code.astext())
        if not end:
            continue
        imports = "\n".join(lines[:end])
        rest = "\n".join(lines[end:]).strip("\n")
        summary = element(
            "summary",
            nodes.Text("Imports: "),
            nodes.literal("", ", ".join(packages)),
        )
        folded = element("details", summary, copied(code, imports))
        code.replace_self([folded, *([copied(code, rest)] if rest else [])])


def copied(code: nodes.literal_block, text: str) -> nodes.literal_block:
    """Make a block of other code, with the same language."""
    return nodes.literal_block(text, text, **code.attributes)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.setup_extension("tags")
    app.connect("doctree-resolved", fold)
    return {"version": "1", "parallel_read_safe": True}
