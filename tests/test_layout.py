"""One name, three rooms: what holds for every chapter, checked for all."""

import ast
import re
import socket
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import grimp
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from myst_nb.core.config import NbParserConfig
from myst_nb.core.read import create_nb_reader
from myst_parser.config.main import MdParserConfig
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "code" / "parallel_ai"
PARTS = (
    "one_machine",
    "many_machines",
    "accelerators",
    "training",
    "production",
)


def table_of_contents() -> list[str]:
    """Pages in order, without the leading ``book/``."""
    text = (ROOT / "_toc.yml").read_text(encoding="utf8")
    return re.findall(r"(?:file|root): book/(\S+)", text)


def chapters() -> list[str]:
    return [p for p in table_of_contents() if p.partition("/")[0] in PARTS]


def page(name: str) -> str:
    return (ROOT / "book" / f"{name}.md").read_text(encoding="utf8")


def sources(name: str) -> list[Path]:
    """Files of a chapter's module, which may be a package."""
    folder = PACKAGE / name
    if folder.is_dir():
        return sorted(folder.rglob("*.py"))
    return [folder.with_suffix(".py")]


def names_below(folder: Path, pattern: str) -> set[str]:
    """Names of a part's modules, pages or tests, without the ending."""
    return {
        path.stem.removeprefix("test_")
        for path in folder.glob(pattern)
        if path.stem != "__init__"
    }


def tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in done.stdout.splitlines()]


@pytest.mark.parametrize("part", PARTS)
def test_three_rooms_have_the_same_names(part):
    taught = {n.partition("/")[2] for n in chapters() if n.startswith(part)}
    modules = names_below(PACKAGE / part, "*.py")
    modules |= {f.parent.name for f in (PACKAGE / part).glob("*/__init__.py")}
    tests = names_below(ROOT / "tests" / part, "test_*.py")
    pages = names_below(ROOT / "book" / part, "*.md")
    assert taught == modules == tests == pages


def test_every_page_is_in_the_table_of_contents():
    pages = {
        path.relative_to(ROOT / "book").with_suffix("").as_posix()
        for path in (ROOT / "book").rglob("*.md")
    }
    assert pages == set(table_of_contents())


def test_every_tool_is_tested():
    tools = names_below(PACKAGE / "toolbox", "*.py")
    tools |= {f.parent.name for f in PACKAGE.glob("toolbox/*/__init__.py")}
    assert tools == names_below(ROOT / "tests" / "toolbox", "test_*.py")


def test_imports_point_one_way():
    graph = grimp.build_graph("parallel_ai", cache_dir=None)
    order = [name.replace("/", ".") for name in chapters()]

    def place(module: str) -> int:
        """Of a chapter in the book; the toolbox comes before all of them."""
        name = module.removeprefix("parallel_ai.")
        if name.partition(".")[0] not in PARTS or name in PARTS:
            return -1
        return next(
            i for i, n in enumerate(order) if f"{name}.".startswith(f"{n}.")
        )

    backwards = [
        (importer, imported)
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if place(imported) > place(importer)
    ]
    assert backwards == []


def test_what_other_parts_use_of_the_first_is_in_the_toolbox():
    """But for the loop over a year of flights, which later runs on clusters."""
    graph = grimp.build_graph("parallel_ai", cache_dir=None)
    first, shared = "parallel_ai.one_machine", "parallel_ai.one_machine.loops"
    used = {
        imported
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported.startswith(first) and not importer.startswith(first)
    }
    assert used <= {shared}


def test_importing_the_package_is_cheap():
    script = "import sys; old = set(sys.modules); import parallel_ai, parallel_ai.toolbox; print(*set(sys.modules) - old)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {
        name for name in done.stdout.split() if "parallel_ai" not in name
    }
    assert loaded <= sys.stdlib_module_names


def test_code_is_a_source_root_and_no_package():
    assert not (ROOT / "code" / "__init__.py").exists()
    done = subprocess.run(
        [sys.executable, "-c", "import pdb, code; print(code.__file__)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(ROOT) not in done.stdout


def test_no_module_is_named_like_another_one():
    ours = {path.stem for path in PACKAGE.rglob("*.py")} - {
        "__init__",
        "__main__",
    }
    taken = set(sys.stdlib_module_names) | {
        name
        for name in metadata.packages_distributions()
        if name != "parallel_ai"
    }
    assert ours & taken == set()


def public_names(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {
        node.name
        for node in tree.body
        if isinstance(node, kinds) and not node.name.startswith("_")
    }


@pytest.mark.parametrize("name", chapters())
def test_every_public_name_appears_in_its_chapter(name):
    shown = set()
    for line in re.findall(
        r"^`{3,}\{(?:listing|coding)\} (.+)$", page(name), re.MULTILINE
    ):
        shown |= {word.rpartition(".")[2] for word in line.split()}
    for path in sources(name):
        assert public_names(path) - shown == set(), path.name


CELL = re.compile(
    r"^`{3,}\{code-cell\}[^\n]*\n(---\n.*?\n---\n|(?::[^\n]*\n)*)(.*?)^`{3,}$",
    re.MULTILINE | re.DOTALL,
)


def bound_and_used(source: str) -> tuple[set[str], set[str]]:
    """Names that a cell defines at its top level or imports, and that it reads."""
    tree = parse(source)
    bound, used = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(
            node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        ):
            bound.add(node.name)
    return bound, used


def parse(source: str) -> ast.Module:
    return ast.parse(TransformerManager().transform_cell(source))


@pytest.mark.parametrize("name", table_of_contents())
def test_every_cell_can_be_read(name):
    """What the build reads first of all, found without a build."""
    text = page(name)
    reader = create_nb_reader(name, MdParserConfig(), NbParserConfig(), text)
    if reader is not None:
        reader.read(text)


@pytest.mark.parametrize("name", chapters())
def test_a_notebook_needs_nothing_of_the_cells_that_it_drops(name):
    """Cells with the tag remove-cell are for the page's text alone."""
    kept, dropped = set(), set()
    for options, source in CELL.findall(page(name)):
        bound, used = bound_and_used(source)
        if "remove-cell" in options:
            dropped |= bound
            continue
        kept |= bound
        assert used & (dropped - kept) == set(), source
    assert kept


def lint(rule: str, source: str) -> str:
    """What ruff finds in a program, by one rule."""
    return subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--quiet"]
        + ["--select", rule, "--output-format=concise", "-"],
        check=False,
        input=source,
        capture_output=True,
        text=True,
        encoding="utf8",
    ).stdout


@pytest.mark.parametrize("name", chapters())
def test_a_notebook_imports_what_it_uses_and_no_more(name):
    """A reader solves the exercises with what the page has imported, too."""
    transform = TransformerManager().transform_cell
    cells = "".join(transform(cell) for _, cell in CELL.findall(page(name)))
    tasks = re.findall(r"^`{3,}\{coding\} (\w+)", page(name), re.MULTILINE)
    solved = [
        ast.unparse(node)
        for path in sources(name)
        for node in ast.parse(path.read_text(encoding="utf8")).body
        if isinstance(node, ast.FunctionDef) and node.name in tasks
    ]
    assert lint("F821", cells) == ""
    assert lint("F401", "\n".join([cells, *solved])) == ""


@pytest.mark.parametrize("name", chapters())
@pytest.mark.parametrize(
    "directive", ["overview", "quiz", "coding", "keypoints", "exercise"]
)
def test_every_chapter_has(name, directive):
    if directive == "exercise" and "{coding}" in page(name):
        return
    assert f"{{{directive}}}" in page(name)


UNITS = (
    r"(?:ns|µs|us|ms|s|seconds?|minutes?|hours?|GB/s|MB/s|GiB/s|GFLOP/s"
    r"|TFLOP/s|images/s|×|times (?:faster|slower|as)|%|per cent)"
)
MEASUREMENT = re.compile(rf"(?<![\w.-])\d[\d,.]*\s?{UNITS}(?![\w/])")
FENCE = re.compile(r"^(`{3,})\{?(\S*).*?^\1`*$", re.MULTILINE | re.DOTALL)
PROSE_FENCES = (
    "overview",
    "keypoints",
    "note",
    "warning",
    "tip",
    "admonition",
)


def prose(text: str) -> str:
    """What a reader reads as our claim: no code, no quiz, no formula."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)

    def drop(found: re.Match[str]) -> str:
        return found[0] if found[2].startswith(PROSE_FENCES) else ""

    text = FENCE.sub(drop, text)
    text = re.sub(r"\$\$.*?\$\$", "", text, flags=re.DOTALL)
    return re.sub(r"\$[^$\n]*\$|`[^`\n]*`", "", text)


@pytest.mark.parametrize("name", table_of_contents())
def test_no_measurement_is_typed(name):
    """Numbers with units come from cells; cited paragraphs may quote one."""
    paragraphs = re.split(r"\n\s*\n", prose(page(name)))
    typed = [
        found[0]
        for paragraph in paragraphs
        if "{cite" not in paragraph
        for found in MEASUREMENT.finditer(paragraph)
    ]
    assert typed == []


def test_the_search_for_typed_measurements_finds_them():
    for text in ("takes 3 s here", "at 12.5 GB/s", "40 % of it", "3× it"):
        assert MEASUREMENT.search(prose(text)), text
    for text in (
        "64-byte lines",
        "`sleep 3 s`",
        "$3\\,s$",
        "Python 3.13 says",
    ):
        assert not MEASUREMENT.search(prose(text)), text


def test_the_address_of_the_repository_stands_once():
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
    address = config["repository"]["url"].removeprefix("https://")
    holders = [
        path.name
        for path in tracked()
        if path.is_file() and address.encode() in path.read_bytes()
    ]
    assert holders == ["_config.yml"]


def test_nothing_generated_is_committed():
    generated = re.compile(r"_build/|\.ipynb$|__pycache__|\.jupyter_cache")
    assert [p for p in tracked() if generated.search(p.as_posix())] == []


def direct_dependencies() -> dict[str, str]:
    """Requirement lines of pyproject.toml, with what is said behind them."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf8")
    lists = text.partition("\ndependencies")[2].partition("[tool.")[0]
    found = re.findall(
        r'^\s*("[^#\n]+),\s*(?:#\s*(.*))?$', lists, re.MULTILINE
    )
    return {
        Requirement(name).name: reason
        for names, reason in found
        for name in re.findall(r'"([^"]+)"', names)
    }


def test_every_dependency_is_pinned_and_has_a_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))
    lists = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    declared = {Requirement(r).name for names in lists for r in names}
    reasons = direct_dependencies()
    assert declared == set(reasons)
    assert all(reasons.values()), reasons
    lines = (ROOT / "requirements.txt").read_text("utf8").splitlines()
    pins = {
        Requirement(line).name.lower()
        for line in lines
        if not line.startswith("-e")
    }
    assert {name.lower() for name in declared} <= pins
    assert all(line == "-e ." or "==" in line for line in lines)
    assert not any("://" in line or "index" in line for line in lines)


def test_make_alone_lists_the_verbs():
    done = subprocess.run(
        ["make"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    verbs = {line.split()[1] for line in done.stdout.splitlines()}
    wanted = [
        "book",
        "test",
        "serve",
        "lab",
        "notebooks",
        "clean",
        "check",
        "record",
        "bench",
        "faults",
    ]
    assert set(wanted) <= verbs
    assert all(len(line) <= 79 for line in done.stdout.splitlines())


def test_serving_on_a_taken_port_says_which():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        tools = Path(sys.executable).parent
        done = subprocess.run(
            ["make", "-o", "book", "serve", f"PORT={port}", f"BIN={tools}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode != 0
    assert f"port {port}: choose another" in done.stderr


def test_readme_names_files_that_exist():
    text = (ROOT / "README.md").read_text("utf8")
    named = re.findall(r"\]\((?!http)([^)]+)\)|`(book/[^`]+\.md)`", text)
    files = [link or code for link, code in named]
    assert files
    assert [name for name in files if not (ROOT / name).exists()] == []
