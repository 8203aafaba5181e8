"""Shows functions and classes from the tested source, never from a copy.

``{listing} mean_serial merge`` shows two of the page's own module;
``{listing} toolbox.stopwatch.measure`` one of another module. Names are
found by reading the source: nothing is imported. On the page the docstring of a
function ends where its tables begin, which the reference has, and what is more
than a screen of code is folded under its head; a notebook shows all.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tags import element

PACKAGE = "parallel_ai"
SCREEN = 30  # lines of a listing that are not folded
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


class NotFound(Exception):
    """No such function or class in the source."""


@dataclass(frozen=True)
class Source:
    """Where a name is defined."""

    path: Path
    module: str
    node: Definition
    text: str


def root() -> Path:
    """Folder of the package."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"install {PACKAGE}: pip install -e .")
    return Path(spec.origin).parent


def find(name: str, docname: str) -> Source:
    """Find a function or class of the page's module, or of a dotted one."""
    module, _, leaf = name.rpartition(".")
    module = module.replace(".", "/") or docname.removeprefix("book/")
    for path in files(root() / module):
        stamp = path.stat().st_mtime_ns
        if leaf in names_in(path, stamp):
            node = next(
                node
                for node in tree_of(path, stamp).body
                if isinstance(node, Definition) and node.name == leaf
            )
            return Source(path, dotted(path), node, cut(path, node))
    raise NotFound(f"{PACKAGE}/{module} defines no function or class {leaf!r}")


@cache
def names_in(path: Path, stamp: int) -> frozenset[str]:
    """Names that a file defines, as it was at that moment."""
    body = tree_of(path, stamp).body
    return frozenset(n.name for n in body if isinstance(n, Definition))


@lru_cache(maxsize=16)  # a tree is large, and a page asks for few files
def tree_of(path: Path, stamp: int) -> ast.Module:
    """Syntax tree of a file, as it was at that moment."""
    return ast.parse(path.read_text(encoding="utf8"))


def files(module: Path) -> list[Path]:
    """Files of a module, which may be a package."""
    if module.is_dir():
        return sorted(module.rglob("*.py"))
    path = module.with_suffix(".py")
    return [path] if path.exists() else []


def dotted(path: Path) -> str:
    """Name of the module in a file."""
    parts = path.relative_to(root().parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def cut(path: Path, node: Definition) -> str:
    """Source of a definition, with its decorators."""
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    lines = path.read_text(encoding="utf8").splitlines()
    return "\n".join(lines[first - 1 : node.end_lineno])


def address(app: Sphinx, path: Path, top: Path | None = None) -> str:
    """Address of a file below `top` in the repository, "" if none is set."""
    options = app.config.html_theme_options
    url = options.get("repository_url", "").rstrip("/")
    branch = options.get("repository_branch", "main")
    name = path.relative_to(top or root().parents[1]).as_posix()
    return f"{url}/blob/{branch}/{name}" if url else ""


def brief(source: Source) -> str:
    """Source in which docstrings of functions end before their tables.

    Three dots tell so. A class keeps its own: there stand its attributes.
    """
    lines: list[str | None] = list(source.text.splitlines())
    first = source.node.end_lineno - len(lines) + 1  # type: ignore[operator]
    for node in ast.walk(source.node):
        if not isinstance(node, Function) or not ast.get_docstring(node):
            continue
        doc = node.body[0]
        start, end = doc.lineno - first, doc.end_lineno - first  # type: ignore[operator]
        for at in range(start + 1, end):
            if set((lines[at + 1] or "").strip()) == {"-"}:
                kept = next(
                    n for n in range(at - 1, start - 1, -1) if lines[n]
                )
                lines[kept] = f'{lines[kept]} …"""'
                lines[kept + 1 : end + 1] = [None] * (end - kept)
                break
    return "\n".join(line for line in lines if line is not None)


def head(source: Source) -> nodes.Element:
    """Say of a folded definition how it is called, and what it does."""
    node = copy.deepcopy(source.node)
    text = f"class {node.name}"
    if not isinstance(node, ast.ClassDef):
        for one in ast.walk(node.args):
            if isinstance(one, ast.arg):
                one.annotation = None
        text = f"{node.name}({ast.unparse(node.args)})"
    said = (ast.get_docstring(node) or "").partition("\n")[0]
    said = said.translate(str.maketrans("", "", "`*"))
    count = nodes.Text(f" {len(brief(source).splitlines())} lines")
    return element(
        "summary",
        nodes.literal(text, text),
        nodes.Text(f" {said}"),
        element("small", count),
    )


def code_of(sources: list[Source]) -> nodes.literal_block:
    """Show definitions as Python."""
    text = "\n\n\n".join(map(brief, sources))
    return nodes.literal_block(text, text, language="python")


def parts(sources: list[Source]) -> list[nodes.Node]:
    """Show definitions in order, and fold what is more than a screen."""
    shown: list[nodes.Node] = []
    together: list[Source] = []
    left = SCREEN
    for source in sources:
        left -= (lines := len(brief(source).splitlines()))
        if left >= 0:
            together.append(source)
            continue
        left += lines
        if together:
            shown.append(code_of(together))
            together = []
        shown.append(element("details", head(source), code_of([source])))
    return [*shown, code_of(together)] if together else shown


def block(
    app: Sphinx, sources: list[Source], whole: bool = False
) -> nodes.container:
    """Show definitions of one file, under the name of their module."""
    text = "\n\n\n".join(source.text for source in sources)
    module = sources[0].module
    url = address(app, sources[0].path)
    caption = nodes.paragraph(classes=["listing-name"])
    name = nodes.literal(module, module)
    caption += nodes.reference("", "", name, refuri=url) if url else name
    code = [code_of(sources)] if whole else parts(sources)
    shown = nodes.container("", caption, *code, classes=["listing"])
    shown["shows"] = [f"{module}.{one.node.name}" for one in sources]
    shown["notebook_markdown"] = f"`{module}`\n\n```python\n{text}\n```"
    return shown


class Listing(SphinxDirective):
    """``{listing} name …``: the tested source of functions or classes."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Cut the names out of their files; one block a file."""
        by_file: dict[Path, list[Source]] = {}
        for name in self.arguments[0].split():
            try:
                source = find(name, self.env.docname)
            except NotFound as error:
                raise self.error(str(error)) from error
            self.env.note_dependency(str(source.path))
            by_file.setdefault(source.path, []).append(source)
        return [block(self.env.app, sources) for sources in by_file.values()]


def fold(summary: str, *children: nodes.Node, **html: str) -> nodes.Element:
    """Make a part that a reader unfolds, also without JavaScript."""
    return element(
        "details", element("summary", text=summary), *children, **html
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.setup_extension("tags")
    app.add_directive("listing", Listing)
    return {"version": "1", "parallel_read_safe": True}
