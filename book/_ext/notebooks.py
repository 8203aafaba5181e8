"""Launchable notebooks: every executed page, as real cells and clean Markdown.

Made from the resolved page, so directives, glue and references are done.
``_build/html/notebooks`` holds the notebooks to download,
``_build/notebooks`` the branch that Colab and Binder open: the notebooks with
the package beside them.
"""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import nbformat
from docutils import nodes
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from packaging.requirements import Requirement
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx_markdown_builder.contexts import IndentContext
from sphinx_markdown_builder.translator import MarkdownTranslator

from listing import root
from tags import tag

BRANCH = "notebooks"
FOLDER = "parallel-python-for-ai"
PROJECT_FILES = ("LICENSE", "README.md", "binder", "code", "pyproject.toml")
THEME_KNOWS = ("github", "gitlab", "bitbucket")  # by a part of the address
GITHUB = re.compile(r"https://github\.com/([^/]+)/([^/]+)")
MARK = "\ue000"  # stands for a cell between two parts of Markdown
EDGES = re.compile(r"\A([> ]*\n)+|(\n[> ]*)+\Z")  # empty lines of a quotation
MARKED = re.compile(f"^[> ]*{MARK}(\\d+){MARK}\\s*$", re.MULTILINE)
MEASURED = """\
Numbers in the text were measured on {cpu}, {cpus} CPUs, {when}; yours appear
below the cells."""
INTRODUCTION = """\
This notebook is [a page]({page}) of *Parallel Python for AI*. {measured}
Run the next cell first: where the book's package is missing, it is installed
into the folder `{folder}`. What you change in its files takes effect at once."""
SETUP = """\
import subprocess, sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("parallel_ai") is None:
    folder = Path("{folder}")
    source = "{repository}"
    if not folder.exists():
        clone = ["git", "clone", "--quiet", "--depth=1", "--branch={branch}"]
        subprocess.run([*clone, source, str(folder)], check=True)
    install = [sys.executable, "-m", "pip", "install", "--quiet"]
    install += ["--editable", f"{{folder.resolve()}}[{extras}]"]
    subprocess.run(install, check=True)
    sys.path.insert(0, str(folder.resolve() / "code"))

%load_ext parallel_ai.toolbox.edits
print("The package's files:", Path(find_spec("parallel_ai").origin).parent)"""


class Writer(MarkdownTranslator):
    """Writes one page as Markdown; cells are set aside and leave a mark."""

    def __init__(self, document: nodes.document, app: Any, page: Any) -> None:
        super().__init__(document, app.builder)
        self.docname = page.docname
        self.source = page.notebook.cells
        self.address = page_address(app, page.docname)
        self.cells: list[NotebookNode] = []

    def dispatch_visit(self, node: nodes.Node) -> None:
        """Take a node's own notebook form where it has one."""
        attributes = getattr(node, "attributes", {})
        if "notebook_code" in attributes:
            self._cell(new_code_cell(node["notebook_code"]))
        if "notebook_markdown" in attributes:
            self.add(node["notebook_markdown"], prefix_eol=2, suffix_eol=2)
            raise nodes.SkipNode
        if attributes.get("nb_element") == "cell_code":
            self._executed(node)
        super().dispatch_visit(node)

    def _executed(self, node: nodes.Element) -> None:
        cell = self.source[node["cell_index"]]
        tags = cell.metadata.get("tags", [])
        if "remove-cell" in tags:  # numbers for the text
            raise nodes.SkipNode
        hidden = {"hide-input", "remove-input"}.intersection(tags)
        kept = {"tags": tags} if tags else {}
        folded = {"jupyter": {"source_hidden": True}} if hidden else {}
        captions = [c.astext() for c in node.findall(nodes.caption)]
        for caption in captions:
            self.add(f"*{caption}*", prefix_eol=2, suffix_eol=2)
        self._cell(new_code_cell(cell.source, metadata=kept | folded))

    def _cell(self, cell: NotebookNode) -> None:
        self.add(f"{MARK}{len(self.cells)}{MARK}", prefix_eol=2, suffix_eol=2)
        self.cells.append(cell)
        raise nodes.SkipNode

    def visit_Text(self, node: nodes.Text) -> None:
        """Escape what a notebook would take for a formula or for HTML."""
        if self.status.escape_text:
            text = node.astext().replace("<", "&lt;").replace("$", r"\$")
            node = nodes.Text(text)
        super().visit_Text(node)

    def visit_reference(self, node: nodes.reference) -> None:
        """Lead to the published page, wherever the notebook lies."""
        node = node.deepcopy()
        target = node.get("refuri") or "#" + node.get("refid", "")
        node["refuri"], node["internal"] = urljoin(self.address, target), False
        super().visit_reference(node)

    def depart_reference(self, node: nodes.reference) -> None:
        """End a link."""
        self._pop_context(node)

    def visit_target(self, node: nodes.target) -> None:
        """Write no anchor: references lead to the published page."""
        raise nodes.SkipNode

    def visit_image(self, node: nodes.image) -> None:
        """Show the published picture."""
        name = self.builder.env.images[node["uri"]][1]
        site = page_address(self.builder.app, "")
        self.add(f"![{node.get('alt', '')}]({site}_images/{name})")

    def visit_math_block(self, node: nodes.math_block) -> None:
        """Write a formula, with its number."""
        super().visit_math_block(node)
        if node.get("number"):
            self.add(rf"\tag{{{node['number']}}} ")

    def _push_box(self, title: str) -> None:
        """Write an admonition as a quotation: no heading for a note."""
        self._push_context(IndentContext("> ", empty=True))
        self.add(f"**{title.capitalize()}**", suffix_eol=2)

    def visit_raw(self, node: nodes.raw) -> None:
        """Leave out HTML that was written for the page."""
        raise nodes.SkipNode

    def visit_caption(self, node: nodes.caption) -> None:
        """Write a caption in a paragraph of its own."""
        self.add(f"*{node.astext()}*", prefix_eol=2, suffix_eol=2)
        raise nodes.SkipNode

    def visit_title(self, node: nodes.title) -> None:
        """Write headings of sections; titles of boxes are bold, and numbered."""
        if isinstance(node.parent, nodes.section):
            super().visit_title(node)
            return
        text = node.astext()
        if node.get("title"):  # sphinx-exercise's format for numbers
            text = node["title"] % self._number(node.parent) + text
        self.add(f"**{text}**", suffix_eol=2)
        raise nodes.SkipNode

    def depart_title(self, node: nodes.title) -> None:
        """End a heading."""
        self._pop_context(node)

    def _number(self, node: nodes.Element) -> str:
        numbers = self.builder.env.toc_fignumbers[self.docname]["exercise"]
        return ".".join(map(str, numbers[node["ids"][0]]))

    def visit_exercise_node(self, node: nodes.Element) -> None:
        """Write an exercise as a quotation; fold a solution."""
        fold = "dropdown" in node["classes"]
        if fold:
            self.add("<details>", prefix_eol=2, suffix_eol=1)
            self.add("<summary>Solution</summary>", suffix_eol=2)
        self._push_context(IndentContext("" if fold else "> ", empty=True))

    def depart_exercise_node(self, node: nodes.Element) -> None:
        """End it."""
        self._pop_context(node)
        if "dropdown" in node["classes"]:
            self.add("</details>", prefix_eol=2, suffix_eol=2)

    visit_admonition = visit_exercise_node
    visit_solution_node = visit_exercise_node
    visit_exercise_enumerable_node = visit_exercise_node
    depart_admonition = depart_exercise_node
    depart_solution_node = depart_exercise_node
    depart_exercise_enumerable_node = depart_exercise_node

    def visit_tag(self, node: tag) -> None:
        """Keep what folds, and nothing else of HTML."""
        if node["name"] in {"details", "summary"}:
            self.add(f"<{node['name']}>", prefix_eol=2, suffix_eol=0)
            if node["name"] == "details":
                self.ensure_eol(1)

    def depart_tag(self, node: tag) -> None:
        """End what folds."""
        if node["name"] in {"details", "summary"}:
            self.ensure_eol(1 if node["name"] == "details" else 0)
            self.add(f"</{node['name']}>", suffix_eol=2)


def repository(app: Sphinx) -> str:
    """Address of the repository."""
    return app.config.book_repository


def page_address(app: Sphinx, docname: str) -> str:
    """Where a page is published; GitHub gives every repository a site."""
    match = GITHUB.match(repository(app))
    site = "https://{}.github.io/{}/".format(*match.groups()) if match else ""
    return f"{site}{docname}.html" if docname else site


def notebook_name(docname: str) -> str:
    """Path of a page's notebook, below the folder of notebooks."""
    return docname.removeprefix("book/") + ".ipynb"


def launch_links(app: Sphinx, docname: str) -> dict[str, str]:
    """Label and address of each way to run a page."""
    name = notebook_name(docname)
    up = "../" * docname.count("/")
    links = {"Download": f"{up}notebooks/{name}"}
    match = GITHUB.match(repository(app))
    if match:
        place = "/".join(match.groups())
        links = {
            "Colab": "https://colab.research.google.com/github/"
            f"{place}/blob/{BRANCH}/{name}",
            "Binder": "https://mybinder.org/v2/gh/"
            f"{place}/{BRANCH}?urlpath=lab/tree/{name}",
        } | links
    return links


def known_extras() -> dict[str, list[str]]:
    """Names of the package's extras, and what each of them brings."""
    text = (root().parents[1] / "pyproject.toml").read_text(encoding="utf8")
    project = tomllib.loads(text)["project"]
    return {
        extra: [Requirement(line).name for line in lines]
        for extra, lines in project["optional-dependencies"].items()
    }


def extras(page: Any) -> str:
    """Extras that a page needs: its part's, the data's, what it imports."""
    part = Path(page.docname).parent.name.replace("_", "-")
    return ",".join(
        extra
        for extra, brings in known_extras().items()
        if extra in {part, "data"}
        or not set(brings).isdisjoint(page.inputs["imports"])
    )


def settle_repository(app: Sphinx, config: Any) -> None:
    """Take the address from the workflow's environment, else from _config.yml."""
    options = config.html_theme_options
    name = os.environ.get("GITHUB_REPOSITORY")
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    address = os.environ.get("BOOK_REPOSITORY") or (
        f"{server}/{name}" if name else options.get("repository_url", "")
    )
    config.book_repository = address.rstrip("/")
    options["repository_url"] = config.book_repository
    if not any(host in address for host in THEME_KNOWS):
        options.setdefault("repository_provider", "github")
    config.html_baseurl = config.html_baseurl or page_address(app, "")


def make_notebook(
    app: Any, doctree: nodes.document, page: Any
) -> NotebookNode:
    """Turn a resolved page into a notebook without outputs."""
    writer = Writer(doctree, app, page)
    doctree.walkabout(writer)
    parts = MARKED.split(writer.astext())
    cells = []
    for place, part in enumerate(parts):
        if place % 2:
            cells.append(writer.cells[int(part)])
        elif text := EDGES.sub("", part).strip():
            cells.append(new_markdown_cell(text))
    values = {
        "page": writer.address,
        "repository": repository(app),
        "branch": BRANCH,
        "folder": FOLDER,
        "extras": extras(page),
        "measured": measured(page.executed),
    }
    introduction = " ".join(INTRODUCTION.format(**values).split())
    cells[:0] = [
        new_markdown_cell(introduction),
        new_code_cell(SETUP.format(**values)),
    ]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "language_info": {"name": "python"},
    }
    return new_notebook(cells=cells, metadata=metadata)


def measured(executed: dict[str, Any] | None) -> str:
    """Say where the numbers are from; nothing, if execution was off."""
    if executed is None:
        return ""
    computer = executed["machine"]
    return MEASURED.format(
        cpu=computer["cpu"], cpus=computer["cpus"], when=executed["when"][:10]
    )


def write_notebook(app: Any, doctree: nodes.document, docname: str) -> None:
    """Write a page's notebook and put the ways to run it under its title."""
    page = app.fresh.pages.get(docname)
    if page is None or app.builder.format != "html":
        return
    path = Path(app.outdir) / "notebooks" / notebook_name(docname)
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = make_notebook(app, doctree, page)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)
    line = nodes.paragraph("", "Run this page: ", classes=["book-launch"])
    for label, address in launch_links(app, docname).items():
        line += [nodes.reference("", label, refuri=address), nodes.Text(" ")]
    title = next(doctree.findall(nodes.title), None)
    if title is None:
        raise ExtensionError(f"{docname}: a page needs a title")
    title.parent.insert(title.parent.index(title) + 1, line)


def assemble_branch(app: Any, error: Exception | None) -> None:
    """Put together the branch that Colab and Binder open."""
    if error or app.builder.format != "html":
        return
    written = Path(app.outdir) / "notebooks"
    written.mkdir(parents=True, exist_ok=True)  # a book may execute nothing
    wanted = {written / notebook_name(name) for name in app.fresh.pages}
    for old in set(written.rglob("*.ipynb")) - wanted:
        old.unlink()
    branch = Path(app.outdir).parent / BRANCH
    shutil.rmtree(branch, ignore_errors=True)
    shutil.copytree(written, branch)
    project = root().parents[1]
    skip = shutil.ignore_patterns("__pycache__")
    for name in PROJECT_FILES:
        source = project / name
        if source.is_dir():
            shutil.copytree(source, branch / name, ignore=skip)
        else:
            shutil.copy2(source, branch / name)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    for extension in ("sphinx_markdown_builder", "fresh", "listing"):
        app.setup_extension(extension)
    app.config.markdown_flavor = "github"  # one line a paragraph
    app.add_config_value("book_repository", "", "env", str)
    app.add_config_value("book_extras", known_extras(), "env", dict)
    app.connect("config-inited", settle_repository, priority=10)
    app.connect("doctree-resolved", write_notebook, priority=900)
    app.connect("build-finished", assemble_branch)
    return {"version": "1", "parallel_read_safe": True}
