"""A docutils node that is one HTML element, for what docutils has no node.

Its children are ordinary nodes; builders other than HTML show only those.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


class tag(nodes.General, nodes.Element):
    """An HTML element: ``tag(name="p", html={"class": "why"})``."""


def element(
    name: str, /, *children: nodes.Node, text: str = "", **html: str
) -> tag:
    """Make an element; ``_`` at an attribute's end is dropped (``class_``)."""
    attributes = {
        key.rstrip("_").replace("_", "-"): value for key, value in html.items()
    }
    identity = attributes.pop("id", None)
    node = tag(name=name, html=attributes, ids=[identity] if identity else [])
    if text:
        node += nodes.Text(text)
    node.extend(children)
    return node


VOID = {"input", "br"}


def open_tag(translator: Any, node: tag) -> None:
    """Write the start of the element."""
    translator.body.append(
        translator.starttag(node, node["name"], "", **node["html"])
    )


def close_tag(translator: Any, node: tag) -> None:
    """Write its end."""
    if node["name"] not in VOID:
        translator.body.append(f"</{node['name']}>")


def ignore(translator: Any, node: tag) -> None:
    """Show only the children."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    plain = (ignore, ignore)
    app.add_node(tag, html=(open_tag, close_tag), latex=plain, text=plain)
    return {"version": "1", "parallel_read_safe": True}
