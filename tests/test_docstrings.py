"""What is public is documented as it is: nothing is imported, but for doctests.

Ruff asks for docstrings and for their form. Here they are held against the
code below them: names, errors, sections; and each is used by somebody.
"""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser
from docutils.utils import new_document

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "code" / "parallel_ai"
EXTENSIONS = ROOT / "book" / "_ext"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SECTION = re.compile(r"^(\w[\w ]*)\n(-{3,})\n", re.MULTILINE)
CELL = re.compile(
    r"^`{3,}\{code-cell\}[^\n]*\n(.*?)^`{3,}$", re.MULTILINE | re.DOTALL
)
SECONDS = 120
CALLED_BY_OTHERS = {"load_ipython_extension"}  # %load_ext in a first cell
ORDER = ["Parameters", "Attributes", "Returns", "Yields", "Raises", "Notes"]


@dataclass(frozen=True)
class Public:
    """A public function, class or method."""

    path: Path
    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    owner: ast.ClassDef | None

    def __str__(self) -> str:
        """Write where it is."""
        return (
            f"{self.path.relative_to(PACKAGE)}:{self.node.lineno} {self.name}"
        )

    @functools.cached_property
    def doc(self) -> str:
        return ast.get_docstring(self.node) or ""

    @functools.cached_property
    def sections(self) -> dict[str, str]:
        """Text of each section by its heading."""
        _, *rest = SECTION.split(self.doc + "\n")
        return dict(zip(rest[::3], rest[2::3], strict=True))

    def items(self, section: str) -> set[str]:
        """Names of what a section describes."""
        heads = re.findall(
            r"^(\S.*)$", self.sections.get(section, ""), re.MULTILINE
        )
        named = (head.partition(" : ")[0] for head in heads)
        return {n.strip("`* ") for head in named for n in head.split(",")}


def inside(
    body: list[ast.stmt], path: Path, owner: ast.ClassDef | None = None
) -> Iterator[Public]:
    for node in body:
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            continue
        if node.name.startswith("_"):
            continue
        name = f"{owner.name}.{node.name}" if owner else node.name
        yield Public(path, name, node, owner)
        if isinstance(node, ast.ClassDef):
            yield from inside(node.body, path, node)


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf8"))


@functools.cache
def public() -> tuple[Public, ...]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return tuple(one for p in paths for one in inside(tree(p).body, p))


def test_everything_public_has_a_docstring():
    assert [str(one) for one in public() if not one.doc] == []
    silent = [
        p.name for p in PACKAGE.rglob("*.py") if not ast.get_docstring(tree(p))
    ]
    assert silent == []


def test_sections_are_known_and_in_order():
    """The reference draws these as lists."""
    wrong = [
        str(one)
        for one in public()
        if [n for n in ORDER if n in one.sections] != list(one.sections)
        or any(len(t) != len(u) for t, u in SECTION.findall(one.doc))
    ]
    assert wrong == []


def parameters(node: ast.AST) -> set[str]:
    """Names of a function's parameters; of a class, those of its making."""
    if isinstance(node, ast.ClassDef):
        made = [n for n in node.body if getattr(n, "name", "") == "__init__"]
        return parameters(made[0]) if made else fields(node)
    found = node.args
    extra = [one for one in (found.vararg, found.kwarg) if one]
    every = [*found.posonlyargs, *found.args, *found.kwonlyargs, *extra]
    return {one.arg for one in every}


def fields(node: ast.ClassDef) -> set[str]:
    """Names that objects of a class have, as far as its body tells."""
    found = {getattr(part, "name", "") for part in node.body}
    for part in ast.walk(node):
        if isinstance(part, ast.AnnAssign) and isinstance(
            part.target, ast.Name
        ):
            found.add(part.target.id)
        elif isinstance(part, ast.Attribute) and isinstance(
            part.ctx, ast.Store
        ):
            found.add(part.attr)
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            found.add(part.id)
    return found


def test_what_is_documented_is_there():
    """A parameter or attribute that was renamed, in its docstring too."""
    wrong = {}
    for one in public():
        gone = one.items("Parameters") - parameters(one.node)
        if isinstance(one.node, ast.ClassDef):
            gone |= one.items("Attributes") - fields(one.node)
        if gone:
            wrong[str(one)] = gone
    assert wrong == {}


SHAPE = re.compile(r"\(|shape|dimension|rows")
ARRAY = re.compile(r"(np\.ndarray|torch\.Tensor)( \| None)?")


def arrays(one: Public) -> set[str]:
    """Names of the parameters that are one array each."""
    found = one.node.args
    return {
        arg.arg
        for arg in [*found.posonlyargs, *found.args, *found.kwonlyargs]
        if arg.annotation and ARRAY.fullmatch(ast.unparse(arg.annotation))
    }


def test_arrays_that_are_described_have_a_shape():
    wrong = []
    for one in public():
        if isinstance(one.node, FUNCTIONS):
            text = one.sections.get("Parameters", "")
            for head in re.findall(r"^(\S.*)$", text, re.MULTILINE):
                names, _, kind = head.partition(" : ")
                described = set(names.split(", ")) & arrays(one)
                if described and not SHAPE.search(kind):
                    wrong.append(f"{one}: {head}")
    assert wrong == []


def raised(node: ast.AST, caught: frozenset[str] = frozenset()) -> set[str]:
    """Names of the errors that a body itself makes and lets out."""
    found: set[str] = set()
    for part in ast.iter_child_nodes(node):
        if isinstance(part, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(part, ast.Raise) and isinstance(part.exc, ast.Call):
            name = ast.unparse(part.exc.func).rpartition(".")[2]
            if name[:1].isupper():  # a function may make the error
                found |= {name} - caught
        elif isinstance(part, ast.Try):
            names = {
                ast.unparse(one).rpartition(".")[2]
                for handler in part.handlers
                for one in ast.walk(handler.type or ast.Name("Exception"))
                if isinstance(one, (ast.Name, ast.Attribute))
            }
            body = ast.Module(part.body, [])
            found |= raised(body, caught | names)
            rest = [*part.handlers, *part.orelse, *part.finalbody]
            found |= raised(ast.Module(rest, []), caught)
        else:
            found |= raised(part, caught)
    return found


def test_errors_that_a_function_raises_are_documented():
    wrong = {}
    for one in public():
        if isinstance(one.node, FUNCTIONS):
            missing = raised(one.node) - {
                name.rpartition(".")[2] for name in one.items("Raises")
            }
            if missing:
                wrong[str(one)] = missing
    assert wrong == {}


def test_the_search_for_errors_finds_them():
    source = """
def f():
    if a:
        raise ValueError("a")
    try:
        raise KeyError("b")
    except KeyError as error:
        raise OSError("c") from error
    def inner():
        raise TypeError("d")
    with e:
        raise module.Own("e")
    raise
"""
    assert raised(ast.parse(source).body[0]) == {
        "ValueError",
        "OSError",
        "Own",
    }


def test_docutils_has_nothing_against_a_docstring():
    """A build says so too, but only when it writes the page again."""
    sys.path.insert(0, str(EXTENSIONS))
    try:
        from docstrings import restructured
    finally:
        sys.path.remove(str(EXTENSIONS))
    parser, complaints = Parser(), []
    settings = get_default_settings(parser)
    settings.warning_stream = False  # what it says is in the document
    texts = {str(one): one.doc for one in public()}
    for path in PACKAGE.rglob("*.py"):
        texts[str(path)] = ast.get_docstring(tree(path)) or ""
    for name, text in texts.items():
        document = new_document(name, settings)
        parser.parse(restructured(text), document)
        complaints += map(str, document.findall(nodes.system_message))
    assert complaints == []


# In a process of its own: what the modules import sets variables.
EXAMPLES = """
import doctest, importlib, sys
for name in sys.argv[1:]:
    found = doctest.testmod(importlib.import_module(name))
    print(name, found.attempted, found.failed)
"""


def test_examples_say_what_comes_out():
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in sorted(PACKAGE.rglob("*.py"))
        if ">>> " in path.read_text("utf8")
    ]
    done = subprocess.run(
        [sys.executable, "-c", EXAMPLES, *names],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = dict(
        re.findall(r"^(\S+) ([1-9]\d*) 0$", done.stdout, re.MULTILINE)
    )
    assert set(results) == set(names), done.stdout


def used(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a source reads, also within its texts."""
    docs = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in set(ast.walk(tree)) - docs:
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"[A-Za-z_]\w*", node.value)


def test_nothing_public_is_dead():
    """Each function is called by another, by a test, or by a page's cell.

    A package that hands a name on does not use it, nor does a listing.
    """
    paths = [p for p in PACKAGE.rglob("*.py") if p.stem != "__init__"]
    paths += [
        *(ROOT / "tests").rglob("*.py"),
        *(ROOT / "book/_ext").rglob("*.py"),
    ]
    found = {name for path in paths for name in used(tree(path))}
    tables = ("COMPARISONS", "RECORDS")
    for path in PACKAGE.rglob("__init__.py"):
        for node in tree(path).body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and any(
                word in tables for word in used(node)
            ):
                found.update(used(node.value))
    for path in (ROOT / "book").rglob("*.md"):
        for cell in CELL.findall(path.read_text("utf8")):
            found.update(re.findall(r"[A-Za-z_]\w*", cell))
    dead = [
        str(one)
        for one in public()
        if one.node.name not in found | CALLED_BY_OTHERS
        and not (one.owner and one.owner.bases)  # a library calls it
    ]
    assert dead == []


def test_commands_and_examples_are_shown_as_code():
    """An indented paragraph is a quotation, unless ``::`` stands before it."""
    quoted = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
                text, *_ = SECTION.split(
                    (ast.get_docstring(node) or "") + "\n"
                )
                before = re.findall(r"^(\S.*)\n\n {4}", text, re.MULTILINE)
                quoted += [(path, b) for b in before if b[-2:] != "::"]
    assert quoted == []
