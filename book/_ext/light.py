"""Light text: code with few elements, pictures that wait and tell their size.

Half of the elements of a page were in its code, around names, brackets and
spaces that look like the text around them. A text has its button to copy from
the start, where a script would write it into the page a hundred times while a
telephone shows it. And nothing moves when a picture comes if the page knew its
size.
"""

from __future__ import annotations

import os
import re
from html import unescape
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.formatters import HtmlFormatter
from pygments.styles import get_style_by_name
from pygments.token import STANDARD_TYPES, Generic, Text
from sphinx.application import Sphinx
from sphinx.util.images import get_image_size
from sphinx.writers.html5 import HTML5Translator

NARROW = 24  # characters of code in a box on a small telephone
SVG = re.compile(r"<svg\b[^>]*>")
NAMED = re.compile(r"""\s([\w:-]+)=["']([^"']*)["']""")
SIDES = ("width", "height")
UNITS = {"": 1, "px": 1, "pt": 96 / 72, "in": 96, "mm": 96 / 25.4}
LENGTH = re.compile(r"([\d.]+)(px|pt|in|mm|)")
BUTTON = (
    '<button type="button" class="copybtn o-tooltip--left" aria-label="Copy"'
    ' data-tooltip="Copy"></button>'  # in a question it is no answer
)
REVERSED = sorted(((v, k) for k, v in STANDARD_TYPES.items()), reverse=True)


def lighten_code(app: Sphinx) -> None:
    """Write no element around a token that looks like what is around it.

    The parts of a text are one; a dot looks like the names beside it. What
    a telephone must scroll can be reached by keyboard, and the button too.
    """
    if app.builder.format != "html":
        return
    theme = app.builder.theme  # type: ignore[attr-defined]
    options = theme.get_options(app.config.html_theme_options)
    styles = [
        get_style_by_name(options[f"pygments_{mode}_style"])
        for mode in ("light", "dark")
    ]

    def look(kind: Any) -> str:
        return str([style.style_for_token(kind) for style in styles])

    # Of the names of kinds that look alike, the first in the alphabet.
    names = {look(kind): name for name, kind in REVERSED if name} | {
        look(Text): ""
    }

    class Plain(HtmlFormatter):
        """Knows which tokens look alike, by day and by night."""

        def _get_css_classes(self, ttype: Any) -> str:
            if ttype in Generic or look(ttype) not in names:
                return super()._get_css_classes(ttype)
            return names[look(ttype)]

        def format_unencoded(self, tokensource: Any, outfile: Any) -> None:
            quiet = (
                (Text if value == "." else kind, value)
                for kind, value in tokensource
            )
            super().format_unencoded(quiet, outfile)

        def _wrap_pre(self, inner: Any) -> Any:
            lines = list(inner)
            texts = (
                unescape(re.sub("<[^>]*>", "", line)) for _, line in lines
            )
            wide = max(map(len, texts), default=0) > NARROW
            stop = '<pre tabindex="0"' if wide else "<pre"
            for kind, piece in super()._wrap_pre(lines):
                yield kind, piece if kind else piece.replace("<pre", stop)
            yield 0, BUTTON

    app.builder.highlighter.formatter = Plain  # type: ignore[attr-defined]


def visit_image(translator: HTML5Translator, node: nodes.image) -> None:
    """Write a picture with its size; all but the first one wait."""
    builder = translator.builder
    path = Path(builder.srcdir) / node["uri"]
    type(translator).visit_image(translator, node)  # type: ignore[attr-defined]
    written = translator.body.pop()
    when = 'fetchpriority="high"' if at_top(node) else 'loading="lazy"'
    extra = f' decoding="async" {when}'
    if path.suffix == ".svg":
        size, fills = drawing(path.read_text(encoding="utf8"))
        if fills and "style=" not in written:
            extra += ' style="width: 100%"'
    else:
        size = get_image_size(os.fspath(path))
    if size:
        extra += f' width="{size[0]}" height="{size[1]}"'
    translator.body.append(written.replace("<img", f"<img{extra}", 1))


def drawing(svg: str) -> tuple[tuple[int, int] | None, bool]:
    """Size of a drawing in pixels, and whether it fills the width there is.

    A drawing may name its shape alone.
    """
    root = SVG.search(svg)
    attributes = dict(NAMED.findall(root[0])) if root else {}
    lengths = [LENGTH.fullmatch(attributes.get(k, "")) for k in SIDES]
    if all(lengths):
        sides = [float(m[1]) * UNITS[m[2]] for m in lengths if m]
        return (round(sides[0]), round(sides[1])), False
    view = attributes.get("viewBox", "").replace(",", " ").split()
    if len(view) != len(("x", "y", *SIDES)):
        return None, False
    return (
        round(float(view[2])),
        round(float(view[3])),
    ), "width" not in attributes


def at_top(node: nodes.Node) -> bool:
    """Tell if it is in the part of a page that a reader sees first."""
    sections = 0
    while node.parent is not None:
        node = node.parent
        sections += isinstance(node, nodes.section)
    return sections < 2


def depart_image(translator: HTML5Translator, node: nodes.image) -> None:
    """Write its end."""
    type(translator).depart_image(translator, node)  # type: ignore[attr-defined]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", lighten_code)
    app.add_node(nodes.image, override=True, html=(visit_image, depart_image))
    return {"version": "1", "parallel_read_safe": True}
