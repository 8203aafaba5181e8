"""Says on every page when, where and how long its cells were executed.

``{executions}`` shows the same of all pages as a table. Both tell of the
execution that made the outputs, also when those came from a cache that was
carried here from another machine.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from parallel_ai.toolbox.stopwatch import readable_bytes

Execution = dict[str, Any]


class executions(nodes.General, nodes.Element):
    """Place of the table of executions."""


class Executions(SphinxDirective):
    """``{executions}``: which machine executed which page, and when."""

    def run(self) -> list[nodes.Node]:
        """Leave a place, filled when all pages are known."""
        self.env.foot_tables = {  # type: ignore[attr-defined]
            *getattr(self.env, "foot_tables", ()),
            self.env.docname,
        }
        return [executions()]


def when(execution: Execution) -> str:
    """Date and time of an execution."""
    return f"{datetime.fromisoformat(execution['when']):%Y-%m-%d %H:%M} UTC"


def where(execution: Execution) -> str:
    """Describe the machine in half a line."""
    computer = execution["machine"]
    cpus = computer["cpus"]
    return (
        f"{computer['cpu']}, {cpus} CPU{'s' if cpus != 1 else ''},"
        f" {computer['memory'] / 2**30:.0f} GiB, {computer['system']}"
    )


def add_foot(app: Sphinx, doctree: nodes.document) -> None:
    """Append the foot to a page that executes cells."""
    page = app.fresh.pages.get(app.env.docname)  # type: ignore[attr-defined]
    if page is None or page.executed is None:
        return
    done = page.executed
    versions = [f"Python {done['machine']['python']}"]
    versions += [
        f"{name} {number}"
        for name, number in done["versions"].items()
        if number
    ]
    text = (
        f"The cells of this page ran on {when(done)} in {done['seconds']:.1f} s"
        f" with at most {readable_bytes(done['memory'])} of memory"
        f" on {where(done)}, with {', '.join(versions)}."
    )
    foot = nodes.container(classes=["executed-foot"])
    foot += nodes.paragraph(text, text)
    doctree.append(foot)


def fill_tables(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the table of all executions in its place."""
    for place in list(doctree.findall(executions)):
        place.replace_self(table(app, docname))


def table(app: Sphinx, docname: str) -> nodes.table:
    """Page, date, seconds and machine of each execution, as a table."""
    rows = []
    for name, page in app.fresh.pages.items():  # type: ignore[attr-defined]
        if page.executed is None:  # execution is off
            continue
        title = app.env.titles[name].astext()
        address = app.builder.get_relative_uri(docname, name)
        link = nodes.reference("", title, refuri=address, internal=True)
        cells = [when(page.executed), f"{page.executed['seconds']:.1f} s"]
        rows.append([link, *map(nodes.Text, [*cells, where(page.executed)])])
    head = list(map(nodes.Text, ["Page", "Executed", "In", "On"]))
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=width) for width in (20, 20, 10, 50)]
    group += nodes.thead("", row(head))
    group += nodes.tbody("", *map(row, rows))
    return nodes.table("", group, classes=["executions"])


def row(cells: list[nodes.Node]) -> nodes.row:
    """Make a row of a table."""
    return nodes.row(
        "", *(nodes.entry("", nodes.paragraph("", "", c)) for c in cells)
    )


def changed_tables(app: Sphinx, env: BuildEnvironment) -> set[str]:
    """Name the pages with a table: written again whenever something ran."""
    ran = app.fresh.ran  # type: ignore[attr-defined]
    return getattr(env, "foot_tables", set()) if ran else set()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx; needs `fresh`, which executes the pages."""
    app.add_node(executions)
    app.add_directive("executions", Executions)
    app.connect("doctree-read", add_foot)
    app.connect("doctree-resolved", fill_tables)
    app.connect("env-updated", changed_tables)
    return {"version": "1", "env_version": 1, "parallel_read_safe": True}
