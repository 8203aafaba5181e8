"""Shows functions and classes from the tested source, never from a copy.

``{listing} mean_serial merge`` shows two of the page's own module;
``{listing} toolbox.stopwatch.measure`` one of another module. Names are
found by reading the source: nothing is imported.
"""

from __future__ import annotations

import ast
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
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


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


def block(app: Sphinx, sources: list[Source]) -> nodes.container:
    """Show definitions of one file, under the name of their module."""
    text = "\n\n\n".join(source.text for source in sources)
    code = nodes.literal_block(text, text, language="python")
    module = sources[0].module
    url = address(app, sources[0].path)
    caption = nodes.paragraph(classes=["listing-name"])
    name = nodes.literal(module, module)
    caption += nodes.reference("", "", name, refuri=url) if url else name
    shown = nodes.container("", caption, code, classes=["listing"])
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
