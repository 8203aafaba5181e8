"""The same head and the same key points on every chapter."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Overview(SphinxDirective):
    """``{overview}``: question, minutes, what is needed, objectives."""

    has_content = True
    option_spec = {  # noqa: RUF012 - docutils' way
        "question": directives.unchanged_required,
        "minutes": directives.positive_int,
        "needs": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """Build the head; every part of it is required."""
        missing = {"question", "minutes", "needs"} - set(self.options)
        if missing or not self.content:
            raise self.error(
                "an overview needs :question:, :minutes:, :needs: and a list"
                f" of objectives; missing: {', '.join(missing) or 'the list'}"
            )
        box = nodes.container(classes=["overview"])
        box += self._line("overview-question", self.options["question"])
        minutes = f"**Time:** {self.options['minutes']} minutes"
        needs = f"**Builds on:** {self.options['needs']}"
        box += self._line("overview-needs", minutes)
        box += self._line("overview-needs", needs)
        box += self._line("overview-objectives", "**After this page you can**")
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]

    def _line(self, name: str, text: str) -> nodes.paragraph:
        children, messages = self.state.inline_text(text, self.lineno)
        return nodes.paragraph(text, "", *children, *messages, classes=[name])


class KeyPoints(SphinxDirective):
    """``{keypoints}``: what to take away, as a list."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Build the list."""
        self.assert_has_content()
        box = nodes.container(classes=["keypoints"])
        title = nodes.strong("", "Key points")
        box += nodes.paragraph("", "", title, classes=["keypoints-title"])
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("overview", Overview)
    app.add_directive("keypoints", KeyPoints)
    return {"version": "1", "parallel_read_safe": True}
