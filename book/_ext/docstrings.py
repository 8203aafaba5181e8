"""Reads modules without importing them: what is public, and its docstring.

``ast`` finds definitions and signatures. A docstring in NumPy's form is
reStructuredText but for the headings of its sections; once these stand as
terms above their indented text, docutils makes definition lists of all.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Parser
from sphinx.util.docutils import LoggingReporter, new_document

from listing import Definition

HEADING = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)
ITEMS = {"Attributes", "Parameters", "Returns", "Yields", "Raises"}
HEAD = re.compile(r"^\S.*$", re.MULTILINE)
BARE = re.compile(r"^(\S.*)\n(?! +\S)", re.MULTILINE)
NAME = re.compile(r"(?<![`\w:])`([^`\n]+)`(?!`)")
BAR = re.compile(r"(``.+?``)|\|(?=\S)")  # |x|, which is no substitution
# What stands before a name, by what stands above it in the source.
LABELS = {
    "asynccontextmanager": "async with",
    "cached_property": "property",
    "classmethod": "classmethod",
    "contextmanager": "with",
    "property": "property",
    "staticmethod": "staticmethod",
}


@dataclass(frozen=True)
class Public:
    """A public function, class or method, as its source says."""

    name: str  # with the class, if it is a method
    kind: str  # function, class or method
    label: str
    signature: str
    doc: str
    line: int
    methods: tuple[Public, ...] = ()


def read(path: Path) -> tuple[str, list[Public]]:
    """Docstring of a module, and what is public in it, in its order."""
    tree = ast.parse(path.read_text(encoding="utf8"))
    return ast.get_docstring(tree) or "", list(definitions(tree.body))


def definitions(body: Iterable[ast.AST], within: str = "") -> Iterator[Public]:
    """Yield what is public in a module, or in the class named `within`."""
    for node in body:
        if not isinstance(node, Definition) or node.name.startswith("_"):
            continue
        name = f"{within}.{node.name}" if within else node.name
        inner: Iterable[Public] = ()
        if isinstance(node, ast.ClassDef):
            kind, how = "class", constructor(node)
            inner = definitions(node.body, name)
        else:
            kind = "method" if within else "function"
            how = called(node, bool(within))
        doc = ast.get_docstring(node) or ""
        yield Public(
            name, kind, label(node), how, doc, node.lineno, tuple(inner)
        )


def decorators(node: Definition) -> list[str]:
    """Last names of what decorates a definition."""
    calls = (getattr(one, "func", one) for one in node.decorator_list)
    return [ast.unparse(one).rpartition(".")[2] for one in calls]


def label(node: Definition) -> str:
    """Word that says how a name is used, "" if it is just called."""
    if isinstance(node, ast.ClassDef):
        return "class"
    found = [LABELS[name] for name in decorators(node) if name in LABELS]
    if not found and isinstance(node, ast.AsyncFunctionDef):
        return "async"
    return " ".join(found)


def called(node: Any, is_method: bool) -> str:
    """Signature of a function; of a method without what it is bound to."""
    marks = decorators(node)
    bound = is_method and "staticmethod" not in marks
    returned = annotation(node.returns)
    if {"property", "cached_property"} & set(marks):
        return f": {returned}" if returned else ""
    return parameters(node.args, bound) + (
        f" → {returned}" if returned else ""
    )


def parameters(args: ast.arguments, bound: bool) -> str:
    """Write parameters in parentheses; the first one is left out if bound."""
    plain = [*args.posonlyargs, *args.args]
    bare: list[ast.expr | None] = [None] * (len(plain) - len(args.defaults))
    parts = list(map(parameter, plain, [*bare, *args.defaults]))
    if args.posonlyargs:
        parts.insert(len(args.posonlyargs), "/")
    if args.vararg:
        parts.append(f"*{parameter(args.vararg, None)}")
    elif args.kwonlyargs:
        parts.append("*")
    parts += map(parameter, args.kwonlyargs, args.kw_defaults)
    if args.kwarg:
        parts.append(f"**{parameter(args.kwarg, None)}")
    return f"({', '.join(parts[bound:])})"


def parameter(arg: ast.arg, default: ast.expr | None) -> str:
    """Write a parameter with its type and its default."""
    kind = annotation(arg.annotation)
    text = f"{arg.arg}: {kind}" if kind else arg.arg
    if default is None:
        return text
    return f"{text}{' = ' if kind else '='}{ast.unparse(default)}"


def annotation(node: ast.expr | None) -> str:
    """Write a type, without the quotes of one that comes later."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ast.unparse(node) if node else ""


def constructor(node: ast.ClassDef) -> str:
    """Signature of a class: of its ``__init__``, its fields, or its bases."""
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return parameters(part.args, bound=True)
    bases = [ast.unparse(base) for base in node.bases]
    if "dataclass" in decorators(node) or "NamedTuple" in bases:
        parts = [p for p in node.body if isinstance(p, ast.AnnAssign)]
        return f"({', '.join(filter(None, map(field, parts)))})"
    return f"({', '.join(bases)})" if bases else ""


def field(node: ast.AnnAssign) -> str:
    """Write a field of a data class as a parameter; "" if it is none."""
    value = node.value
    text = f"{ast.unparse(node.target)}: {annotation(node.annotation)}"
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
        options = {k.arg: ast.unparse(k.value) for k in value.keywords}
        if options.get("init") == "False":
            return ""
        made = options.get("default_factory")
        default = f"{made}()" if made else options.get("default")
    else:
        default = ast.unparse(value) if value else None
    return text if default is None else f"{text} = {default}"


# ------------------------------------------------------------ docstrings


def restructured(doc: str) -> str:
    """Write a docstring as what docutils reads."""
    text = BAR.sub(lambda one: one[1] or r"\|", NAME.sub(r"``\1``", doc))
    head, *rest = HEADING.split(text + "\n")
    parts = [head.rstrip()]
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        if title in ITEMS:  # an item without a description has an empty one
            body = BARE.sub(r"\1\n    ..\n", body.rstrip() + "\n")
            body = HEAD.sub(lambda one: one[0].replace("*", r"\*"), body)
        parts.append(f"{title}\n{indent(body.rstrip(), '    ')}")
    return "\n\n".join(parts) + "\n"


def parsed(doc: str, where: str, settings: Any) -> list[nodes.Node]:
    """Nodes of a docstring; what docutils finds wrong in it is a warning."""
    document = new_document(where, settings)
    document.reporter = LoggingReporter(where)
    Parser().parse(restructured(doc), document)
    for nothing in list(document.findall(nodes.comment)):
        nothing.parent.remove(nothing)
    for block in document.findall(nodes.literal_block):
        block["language"] = "text"
    return document.children
