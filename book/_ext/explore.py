"""Figures that answer: ``{explore} name``, without a kernel.

The picture, the sentence below it and the table are computed when the book
is built, by the tested functions of the package (see `scenes`), so they are
there in print and without JavaScript. Where a reader comes near, one shared
script and the figure's own are loaded; the same formula, written again, then
answers to the inputs. ``tests/test_explore.py`` holds the two against each
other on a grid.

Why no library: a page may weigh 250 KiB at first view. Vega-Lite with its
interpreter weighs several times that, draws to a canvas or an SVG with no
part that a keyboard or a screen reader could use, and has neither the
controls nor the words that answer; all of that would be ours to write anyway.
The shared script here and one figure's together weigh some 23 KiB. They are
classic scripts, put into the page when wanted, because a browser refuses
modules of a page that was opened from a folder (``file://``).

The body is what the reader is asked to try; ``:inputs:`` gives other values
to begin with::

    ```{explore} amdahl
    :inputs: serial = 0.1, most = 256

    What would you buy?
    ```
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from textwrap import indent
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from drawn import Scene, draw, legend
from fingerprint import digest, text_of
from listing import find
from scenes import FIGURES, Figure, Input, Unsuitable
from tags import element, tag

SCRIPTS = "explore/*.js"  # below _static
NOTE = "On the book's page this is a figure that answers to its inputs."


class Explore(SphinxDirective):
    """``{explore} name``: controls, picture, words and table."""

    required_arguments = 1
    has_content = True
    option_spec = {"inputs": directives.unchanged}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Build the figure from what Python computes."""
        name = self.arguments[0]
        if name not in FIGURES:
            known = ", ".join(FIGURES)
            raise self.error(f"explore: no figure {name!r}: there are {known}")
        here = self.env.temp_data.setdefault("explore", set())
        if name in here:
            raise self.error(f"explore: {name} stands on this page already")
        here.add(name)
        figure = FIGURES[name]
        try:
            values = figure.values(given(self.options.get("inputs", "")))
            scene = figure.scene(**values)
        except (Unsuitable, ValueError) as error:
            raise self.error(f"explore {name}: {error}") from error
        for function in figure.functions:
            source = find(function, self.env.docname)
            self.env.note_dependency(str(source.path))
        return [self._box(name, figure, values, scene)]

    def _box(
        self, name: str, figure: Figure, values: dict[str, Any], scene: Scene
    ) -> nodes.Node:
        title = element(
            "p", class_="explore-title", id=f"explore-{name}-title"
        )
        title += nodes.strong("", f"Explore: {figure.title}")
        box = element(
            "div", title, class_="explore", id=f"explore-{name}",
            role="group", aria_labelledby=f"explore-{name}-title",
            data_explore=name,
        )  # fmt: skip
        lead = element("div", class_="explore-lead")
        self.state.nested_parse(self.content, self.content_offset, lead)
        if lead.children:
            box += lead
        if "data" in scene:
            data = json.dumps(scene["data"], separators=(",", ":"))
            data = data.replace("<", "\\u003c")  # so that it ends no script
            script = f'<script type="application/json">{data}</script>'
            box += nodes.raw("", script, format="html")
        form = nodes.raw(
            "", controls(name, figure, values, scene), format="html"
        )
        shown = element("div", class_="explore-shown")
        shown["notebook_markdown"] = markdown(scene)
        picture = f'<div class="explore-picture">{draw(scene, name)}</div>'
        picture += legend(scene)
        shown += nodes.raw("", picture, format="html")
        shown += element(
            "p", text=scene["said"], class_="explore-said",
            id=f"explore-{name}-said",
        )  # fmt: skip
        shown += element("p", class_="explore-live", role="status")
        shown += table(scene)
        call = nodes.raw("", "", format="html")
        call["notebook_code"] = code(name, figure, values)
        box.extend([form, shown, call])
        return box


def given(text: str) -> dict[str, str]:
    """Read ``a = 1, b = 2``."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not equals for _, equals, _ in pairs):
        raise Unsuitable("`:inputs:` is a list as in `a = 1, b = 2`")
    return {key.strip(): value.strip() for key, _, value in pairs}


def code(name: str, figure: Figure, values: dict[str, Any]) -> str:
    """Write the notebook's cell: a function, so that it changes no name."""
    call = f"explore_{name}()"
    written = {key: repr(value) for key, value in values.items()}
    body = indent(figure.code.format(**written).strip(), "    ")
    return f"def {call}:\n{body}\n\n\n{call}"


def controls(
    name: str, figure: Figure, values: dict[str, Any], scene: Scene
) -> str:
    """Write the form; it is of no use, and so disabled, before the script."""
    fields = {
        one: control(
            one, f"explore-{name}-{one.name}", values.get(one.name), scene
        )
        for one in figure.inputs
        if one.kind != "fixed"
    }
    most = "".join(f for one, f in fields.items() if one.kind != "step")
    steps = "".join(f for one, f in fields.items() if one.kind == "step")
    return (
        '<form class="explore-form" autocomplete="off"><fieldset disabled>'
        f'<legend>Your inputs</legend><div class="explore-inputs">{most}'
        f'</div><button type="reset">Start again</button>{steps}</fieldset>'
        '<p class="explore-error" role="alert"></p></form>'
    )


def control(one: Input, identity: str, value: Any, scene: Scene) -> str:
    """Write one input with its label."""
    start = f'id="{identity}" name="{one.name}"'
    label = f'<label for="{identity}">{escape(one.label)}</label>'
    if one.kind == "text":
        field = (
            f'<textarea {start} data-kind="text" rows="5" spellcheck="false">'
            f"{escape(value)}</textarea>"
        )
    elif one.kind in ("file", "record"):
        topic = f' data-topic="{one.start}"' if one.kind == "record" else ""
        field = (
            f'<input type="file" {start} data-kind="{one.kind}"{topic}'
            ' accept=".json,application/json">'
        )
    elif one.kind == "number":
        kind = f'data-kind="number" data-least="{one.least}" data-most="{one.most}"'
        field = (
            f'<input type="text" inputmode="decimal" {start} {kind}'
            f' value="{value:g}">'
        )
    elif one.kind == "choice":
        options = "".join(
            f"<option{' selected' * (option == value)}>{escape(option)}</option>"
            for option in one.options
        )
        field = f'<select {start} data-kind="choice">{options}</select>'
    else:
        at = one.options.index(value)
        last = scene.get("limits", {}).get(one.name, len(one.options) - 1)
        texts = [one.text(option) for option in one.options]
        data = escape(json.dumps(one.options), quote=True)
        words = escape(json.dumps(texts, ensure_ascii=False), quote=True)
        label = (
            f'<label for="{identity}">{escape(one.label)}: '
            f'<output for="{identity}">{escape(texts[at])}</output></label>'
        )
        field = (
            f'<input type="range" {start} data-kind="{one.kind}" min="0"'
            f' max="{last}" step="1" value="{at}"'
            f' data-values="{data}" data-texts="{words}"'
            f' aria-valuetext="{escape(texts[at])}">'
        )
        if one.kind == "step":
            field = (
                '<div class="explore-steps">'
                '<button type="button" data-move="-1">Back</button>'
                f'{field}<button type="button" data-move="1">Next</button></div>'
            )
    return f'<div class="explore-input {one.kind}">{label}{field}</div>'


def table(scene: Scene) -> tag:
    """Make the text alternative, a table to unfold."""
    head = element(
        "tr", *(element("th", text=t, scope="col") for t in scene["head"])
    )
    body = element("tbody")
    for first, *rest in scene["rows"]:
        cells = [element("td", text=text) for text in rest]
        body += element("tr", element("th", text=first, scope="row"), *cells)
    whole = element("table", element("thead", head), body)
    around = element(
        "div", whole, class_="explore-table", tabindex="0", role="region",
        aria_label="The figure's numbers",
    )  # fmt: skip
    return element(
        "details", element("summary", text="The same as a table"), around
    )


def markdown(scene: Scene) -> str:
    """Write what a notebook shows: the words and the table."""
    rows = [scene["head"], ["---"] * len(scene["head"]), *scene["rows"]]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n\n".join([NOTE, scene["said"], "\n".join(lines)])


def version_scripts(
    app: Sphinx, doctree: nodes.document, docname: str
) -> None:
    """Say which scripts are meant, so that no browser takes old ones."""
    found = [n for n in doctree.findall(tag) if "data-explore" in n["html"]]
    if not found:
        return
    folders = [Path(app.confdir) / f for f in app.config.html_static_path]
    files = [f for one in folders for f in sorted(one.glob(SCRIPTS))]
    version = digest([text_of(path) for path in files])[:8]
    for node in found:
        node["html"]["data-version"] = version


def add_files(
    app: Any, name: str, template: str, context: Any, doctree: Any
) -> None:
    """Load the script on the pages that have a figure."""
    tags = doctree.findall(tag) if doctree else []
    if any("data-explore" in node["html"] for node in tags):
        app.add_js_file("explore.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.setup_extension("tags")
    app.add_directive("explore", Explore)
    app.add_css_file("explore.css")  # `slim` joins the styles of all pages
    app.connect("doctree-resolved", version_scripts)
    app.connect("html-page-context", add_files)
    return {"version": "1", "parallel_read_safe": True}
