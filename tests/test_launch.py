"""What a reader launches: notebooks, links, environments, and what publishes.

Every chapter's notebook is run from its first cell by ``pytest
tests/test_launch.py --every-notebook -o faulthandler_timeout=600``, which
installs a lot; otherwise a small book stands for them, with the real
extensions, toolbox and first cell.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
SECONDS = 600
FOLDER = "parallel-python-for-ai"  # which a first cell makes


def run(*command: object, folder: Path, **environment: str) -> str:
    """Run a program; returns what it printed, or fails with it."""
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# The notebooks of the book


def pages() -> list[str]:
    """Pages with cells, as they stand in the table of contents."""
    text = (ROOT / "_toc.yml").read_text(encoding="utf8")
    names = re.findall(r"(?:file|root): (\S+)", text)
    return [name for name in names if "{code-cell}" in page(name)]


def page(name: str) -> str:
    return (ROOT / f"{name}.md").read_text(encoding="utf8")


def notebook_name(name: str) -> str:
    return name.removeprefix("book/") + ".ipynb"


@pytest.fixture(scope="session")
def branch(built_book):
    """What the branch that Colab and Binder open will hold."""
    return built_book.parent / "notebooks"


@pytest.fixture(params=pages())
def notebook(request, branch):
    return nbformat.read(
        branch / notebook_name(request.param), nbformat.NO_CONVERT
    )


def texts(notebook, kind: str) -> list[str]:
    return [c.source for c in notebook.cells if c.cell_type == kind]


def names_below(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*.ipynb")}


def test_every_page_with_cells_has_its_notebook_in_both_places(
    built_book, branch
):
    download = built_book / "notebooks"
    wanted = {notebook_name(name) for name in pages()}
    assert names_below(download) == names_below(branch) == wanted
    for name in wanted:
        assert (download / name).read_bytes() == (branch / name).read_bytes()


def test_notebooks_are_valid_and_hold_no_outputs(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert all(c.outputs == [] and c.execution_count is None for c in code)


CELL = re.compile(
    r"^(`{3,})\{code-cell\}[^\n]*\n(.*?)^\1$", re.MULTILINE | re.DOTALL
)
OPTIONS = re.compile(
    r"\A---\n.*?^---\n|\A(?::[^\n]*\n)+", re.MULTILINE | re.DOTALL
)


def cells_of(name: str) -> list[str]:
    """Source of the cells that a page shows."""
    found = []
    for _, body in CELL.findall(page(name)):
        options = OPTIONS.match(body)
        if not options or "remove-cell" not in options[0]:
            found.append(OPTIONS.sub("", body).strip())
    return found


@pytest.mark.parametrize("name", pages())
def test_cells_are_real_and_in_order(name, branch):
    notebook = nbformat.read(branch / notebook_name(name), nbformat.NO_CONVERT)
    first, *code = texts(notebook, "code")
    assert "parallel_ai.toolbox.edits" in first
    rest = iter(code)
    assert all(cell in rest for cell in cells_of(name))
    transform = TransformerManager().transform_cell
    for cell in [first, *code]:
        ast.parse(transform(cell))


@pytest.mark.parametrize("name", pages())
def test_listings_are_visible(name, branch):
    notebook = nbformat.read(branch / notebook_name(name), nbformat.NO_CONVERT)
    markdown = "\n".join(texts(notebook, "markdown"))
    shown = "\n".join(
        re.findall(
            r"^```python\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL
        )
    )
    for line in re.findall(
        r"^`{3,}\{listing\} (.+)$", page(name), re.MULTILINE
    ):
        for listed in line.split():
            leaf = listed.rpartition(".")[2]
            assert re.search(
                rf"^(async )?(def|class) {leaf}\b", shown, re.MULTILINE
            )


@pytest.mark.parametrize("name", pages())
def test_figures_that_answer_are_words_and_a_call(name, branch):
    notebook = nbformat.read(branch / notebook_name(name), nbformat.NO_CONVERT)
    code, words = (
        "\n".join(texts(notebook, kind)) for kind in ("code", "markdown")
    )
    figures = re.findall(r"^`{3,}\{explore\} (\w+)$", page(name), re.MULTILINE)
    for figure in figures:
        assert f"\nexplore_{figure}()" in code
    assert words.count("a figure that answers to its inputs") == len(figures)


FENCED = re.compile(
    r"^([ >]*)(`{3,})[^\n`{]*\n.*?^\1\2$", re.MULTILINE | re.DOTALL
)
LEFTOVERS = {
    "role": r"(?<!`)\{[\w:.-]+\}`\S",
    "directive": r"^[ >]*(?:`{3,}|:{3,}|~{3,})\s*\{",
    "colons": r"^[ >]*:::",
    "option": r"^[ >]*:[\w-]+:",
    "target": r"^\([\w:.-]+\)=\s*$",
    "break": r"^\+\+\+",
    "comment": r"^% ",
    "substitution": r"\{\{",
    "mark": "[\ue000-\uf8ff]",
    "footnote": r"\[\^",
    "label": r"^\$\$ *\(",
    "HTML": r"<(?!/?(?:details|summary)>)/?[a-zA-Z!]",
    "escaped HTML": r"&lt;/?(?:script|div|span|p|style)\b",
    "relative": r"\]\((?!https?://|#|mailto:)",
    "broken quotation": r"^> [^\n]*\n\n> ",
}


def leftovers(markdown: str) -> list[str]:
    """What a notebook cannot show, in Markdown without its code."""
    raw = FENCED.sub("", markdown)
    plain = re.sub(r"(`+)[^`\n]+\1", "code", raw)
    return [
        f"{kind}: {found[0]!r}"
        for kind, pattern in LEFTOVERS.items()
        for found in re.finditer(
            pattern, raw if kind == "role" else plain, re.MULTILINE
        )
    ]


def test_markdown_is_clean(notebook):
    found = [f for m in texts(notebook, "markdown") for f in leftovers(m)]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "see {numref}`figure`",
        "```{note}\nx\n```",
        ":::{tip}\nx\n:::",
        "(here)=\n## Title",
        "a {{value}}",
        "\ue0000\ue000",
        "[x](other.md)",
        "![x](figures/x.svg)",
        '<div class="x">',
        "     &lt;script>",
        "a[^1]",
        "> **Note**\n\n> text",
    ],
)
def test_the_search_for_leftovers_finds(text):
    assert leftovers(text)


@pytest.mark.parametrize(
    "text",
    [
        "`{role}` and `a[i](x)`",
        "```python\nf({{}})\n```",
        "3 &lt; 4 and $a_{b}$",
        "[x](https://x.org) <details>\n\n</details>",
        "> **Note**\n> \n> text",
    ],
)
def test_the_search_for_leftovers_lets_pass(text):
    assert leftovers(text) == []


# Links


class Links(HTMLParser):
    """Addresses and anchors of a page, and the words of each link."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.anchors: set[str] = set()
        self.words: dict[str, str] = {}
        self.open = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found.get("id") or "", found.get("name") or ""}
        for name in ("href", "src", "data-src"):
            if found.get(name):
                self.addresses.append(found[name])
        if tag == "a":
            self.open = found.get("href") or ""

    def handle_data(self, data):
        if self.open:
            self.words[self.open] = self.words.get(self.open, "") + data

    def handle_endtag(self, tag):
        if tag == "a":
            self.open = ""


@pytest.fixture(scope="session")
def html(built_book):
    """Links of every page, by the page's path."""
    return {
        path: Links(path.read_text(encoding="utf8"))
        for path in built_book.rglob("*.html")
        if "_static" not in path.parts
    }


LAUNCH = re.compile(
    r"colab\.research\.google\.com|mybinder\.org|\.ipynb\b|jupyterhub|/lite/"
)


def site_of(repository: str) -> str:
    owner, name = urlsplit(repository).path.strip("/").split("/")
    return f"https://{owner}.github.io/{name}/"


@pytest.fixture(scope="session")
def repository():
    """Address that the links of this build lead to."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
    name = os.environ.get("GITHUB_REPOSITORY")
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    given = os.environ.get("BOOK_REPOSITORY")
    return given or (
        f"{server}/{name}" if name else config["repository"]["url"]
    )


def launched(path: Path, links: Links, branch: Path, place: str) -> set[Path]:
    """Files that a page's launch links name, once they are published."""
    files = set()
    for address in filter(LAUNCH.search, links.addresses):
        url = urlsplit(unquote(address))
        if "colab" in url.netloc:
            start = f"/github/{place}/blob/notebooks/"
            assert url.path.startswith(start), address
            files.add(branch / url.path.removeprefix(start))
        elif "mybinder" in url.netloc:
            assert url.path == f"/v2/gh/{place}/notebooks", address
            start = "urlpath=lab/tree/"
            assert url.query.startswith(start), address
            files.add(branch / url.query.removeprefix(start))
        else:
            assert not url.netloc, address
            files.add((path.parent / url.path).resolve())
    return files


def test_launch_links_name_files_that_are_published(
    html, built_book, branch, repository
):
    place = urlsplit(repository).path.strip("/")
    for path, links in html.items():
        name = path.relative_to(built_book).with_suffix("").as_posix()
        wanted = set()
        if name in pages():
            file = notebook_name(name)
            wanted = {branch / file, built_book / "notebooks" / file}
        files = launched(path, links, branch, place)
        assert files == wanted, name
        assert all(file.is_file() for file in files)
        words = {links.words[a] for a in links.words if LAUNCH.search(a)}
        assert words == ({"Colab", "Binder", "Download"} if wanted else set())


def test_links_inside_the_book_lead_somewhere(html, built_book):
    broken = []
    for path, links in html.items():
        for address in links.addresses:
            url = urlsplit(address)
            if url.scheme or url.netloc:
                continue
            target = path
            if url.path:
                target = (path.parent / unquote(url.path)).resolve()
            anchors = html[target].anchors if target in html else set()
            lost = url.fragment and unquote(url.fragment) not in anchors
            if not target.is_file() or (target in html and lost):
                broken.append(f"{path.relative_to(built_book)}: {address}")
    assert broken == []


def test_notebooks_lead_to_pages_and_pictures_that_are_published(
    notebook, html, built_book, repository
):
    site = site_of(repository)
    for markdown in texts(notebook, "markdown"):
        for address in re.findall(r"\]\((\S+?)\)", FENCED.sub("", markdown)):
            if not address.startswith(site):
                continue
            url = urlsplit(address.removeprefix(site))
            target = built_book / unquote(url.path)
            assert target.is_file(), address
            if url.fragment:
                assert unquote(url.fragment) in html[target].anchors, address


# From a first cell on


@dataclass
class Reader:
    """Somebody with Jupyter, and a copy of what the book publishes."""

    folder: Path
    origin: Path

    def program(self, name: str) -> Path:
        """A program of the reader's environment."""
        scripts = "Scripts" if os.name == "nt" else "bin"
        return self.folder / "venv" / scripts / name

    def prepare(self, branch: Path) -> None:
        """Publish a branch in a repository; make an environment."""
        shutil.copytree(branch, self.origin)
        git = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c")
        run(*git, "init", "-q", "-b", "notebooks", folder=self.origin)
        run(*git, "add", "--all", "--force", folder=self.origin)
        run(*git, "commit", "-q", "-m", "Notebooks", folder=self.origin)
        run(sys.executable, "-m", "venv", "venv", folder=self.folder)
        self.run("pip", "install", "-q", "ipykernel", "nbclient")

    def run(self, name: str, *arguments: str, **environment: str) -> str:
        """Run a program with no settings of the user's."""
        own = str(self.folder / "settings")
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
        return run(
            self.program(name),
            *arguments,
            folder=self.folder,
            **dict.fromkeys(names, own),
            **environment,
        )

    def execute(self, notebook, **environment: str) -> list[str]:
        """Run a notebook as it was downloaded; what each cell printed."""
        nbformat.write(notebook, self.folder / "it.ipynb")
        self.run("jupyter", "execute", "--inplace", "it.ipynb", **environment)
        done = nbformat.read(self.folder / "it.ipynb", nbformat.NO_CONVERT)
        return [
            "".join(o.get("text", "") for o in cell.outputs)
            for cell in done.cells
            if cell.cell_type == "code"
        ]

    def package(self) -> Path:
        """Where the first cell puts the package."""
        return self.folder / FOLDER / "code" / "parallel_ai"

    def installed(self) -> dict:
        """How pip installed the package."""
        script = (
            "from importlib.metadata import distribution as d;"
            "print(d('parallel-ai').read_text('direct_url.json'))"
        )
        return json.loads(self.run("python", "-c", script))


@pytest.fixture
def reader(tmp_path):
    """A reader in an empty folder."""
    folder = tmp_path / "reader"
    folder.mkdir()
    return Reader(folder, tmp_path / "origin")


SMALL = {
    "_config.yml": """
title: small
only_build_toc_files: true
execute: {{execute_notebooks: cache, run_in_temp: true}}
repository: {{url: "https://github.com/somebody/book"}}
sphinx:
  local_extensions: {{fresh: {ext}, foot: {ext}, listing: {ext},
    notebooks: {ext}}}
""",
    "_toc.yml": """
format: jb-book
root: book/index
chapters:
  - file: book/one_machine/small
""",
    "book/index.md": "# Index\n",
    "book/one_machine/small.md": """---
file_format: mystnb
kernelspec:
  name: python3
---
(here)=
# Small

See {{ref}}`here`.

```{{listing}} count
```

```{{code-cell}} python
from tqdm import tqdm  # which the first cell has to install

from parallel_ai.one_machine import small
from parallel_ai.one_machine.small import count

print(count(), small.count(), tqdm.__name__)
```
""",
    "code/parallel_ai/one_machine/__init__.py": "",
    "code/parallel_ai/one_machine/small/__init__.py": """
from .work import count
""",
    "code/parallel_ai/one_machine/small/work.py": """
from functools import cache


@cache
def count():
    return 'old'
""",
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "parallel-ai"
version = "1"

[project.optional-dependencies]
one-machine = ["tqdm"]
other-part = ["nothing-of-that-name"]

[tool.hatch.build.targets.wheel]
packages = ["code/parallel_ai"]

[tool.hatch.build]
dev-mode-dirs = ["code"]
""",
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A book of one page, with the real toolbox and extensions."""
    root = tmp_path_factory.mktemp("small")
    for name in ("LICENSE", "README.md"):
        shutil.copy2(ROOT / name, root / name)
    for name in ("binder", "code/parallel_ai/toolbox"):
        shutil.copytree(ROOT / name, root / name)
    shutil.copy2(
        ROOT / "code/parallel_ai/__init__.py", root / "code/parallel_ai"
    )
    for name, text in SMALL.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(ext=ROOT / "book/_ext"))
    return root


def build(book: Path, **environment: str) -> Path:
    """Build a small book; returns the folder of what it built."""
    program = Path(sys.executable).with_name("jupyter-book")
    paths = {"PYTHONPATH": str(book / "code"), "BOOK_REPOSITORY": ""}
    run(program, "build", ".", folder=book, **(paths | environment))
    return book / "_build"


def test_links_of_a_fork_lead_to_the_fork(small):
    built = build(small, GITHUB_REPOSITORY="reader/fork")
    name = "one_machine/small.ipynb"
    path = built / "html/book/one_machine/small.html"
    links = Links(path.read_text(encoding="utf8"))
    files = launched(path, links, built / "notebooks", "reader/fork")
    assert files == {
        built / where / name for where in ("notebooks", "html/notebooks")
    }
    text = (built / "notebooks" / name).read_text(encoding="utf8")
    assert "https://github.com/reader/fork" in text
    assert "https://reader.github.io/fork/" in text
    assert "somebody" not in text + path.read_text(encoding="utf8")


def test_a_notebook_of_a_page_that_was_not_executed_says_no_numbers(
    small, tmp_path
):
    without = shutil.ignore_patterns("_build")  # and so without a cache
    folder = shutil.copytree(small, tmp_path / "small", ignore=without)
    config = folder / "_config.yml"
    text = config.read_text("utf8")
    config.write_text(text.replace("notebooks: cache", "notebooks: off"))
    built = build(folder)
    path = built / "html/notebooks/one_machine/small.ipynb"
    first = nbformat.read(path, nbformat.NO_CONVERT).cells[0].source
    assert "Run the next cell first" in first
    assert "measured" not in first


def test_notebook_runs_from_its_first_cell_and_sees_an_edit(small, reader):
    built = build(small, BOOK_REPOSITORY=f"file://{reader.origin}")
    reader.prepare(built / "notebooks")
    notebook = nbformat.read(
        built / "html/notebooks/one_machine/small.ipynb", nbformat.NO_CONVERT
    )
    edit = (
        "from pathlib import Path\n"
        "path = Path(small.work.__file__)\n"
        "path.write_text(path.read_text().replace('old', 'changed'))"
    )
    again = "print(count(), small.count())"
    new = nbformat.v4.new_code_cell
    notebook.cells += [new(edit, id="edit"), new(again, id="again")]
    first, page, _, changed = reader.execute(notebook)
    assert first.strip().endswith(str(reader.package()))
    assert page.split() == ["old", "old", "tqdm"]
    assert changed.split() == ["changed", "changed"]
    how = reader.installed()
    assert how["dir_info"]["editable"]
    assert Path(urlsplit(how["url"]).path) == reader.folder / FOLDER
    installed = reader.execute(notebook)  # now without cloning anything
    assert installed[1].split() == ["changed", "changed", "tqdm"]


@pytest.mark.every_notebook
@pytest.mark.parametrize("name", pages())
def test_every_notebook_runs_from_its_first_cell(
    name, branch, reader, repository
):
    reader.prepare(branch)
    notebook = nbformat.read(branch / notebook_name(name), nbformat.NO_CONVERT)
    printed = reader.execute(
        notebook,
        # The address in the notebook, as published, leads to the local copy.
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0=f"url.file://{reader.origin}.insteadOf",
        GIT_CONFIG_VALUE_0=repository,
    )
    assert printed[0].strip().endswith(str(reader.package()))
    assert reader.installed()["dir_info"]["editable"]


# Binder and conda


def extras(requirement: str) -> set[str]:
    """Extras between the brackets of ``.[one,two]``."""
    return set(re.findall(r"[\w-]+", requirement.partition("[")[2]))


def declared() -> dict[str, list[str]]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf8")
    return tomllib.loads(text)["project"]["optional-dependencies"]


def test_binder_has_what_the_first_cells_would_install(branch):
    spec = yaml.safe_load((branch / "binder/environment.yml").read_text())
    given = {
        re.split(r"[=<> ]", name)[0].removesuffix("-cpu").replace("py", "")
        for name in spec["dependencies"]
        if isinstance(name, str)
    }
    script = (branch / "binder/postBuild").read_text()
    installed = extras(script)
    assert installed <= set(declared())
    for name in names_below(branch):
        notebook = nbformat.read(branch / name, nbformat.NO_CONVERT)
        line = re.search(
            r"\{folder.resolve\(\)\}\[.*?\]", texts(notebook, "code")[0]
        )
        for extra in extras(line[0]) - installed:
            needs = {Requirement(r).name for r in declared()[extra]}
            assert needs <= given, extra


def test_binder_is_light(branch):
    text = (branch / "binder/environment.yml").read_text()
    names = yaml.safe_load(text)["dependencies"]
    assert "pytorch-cpu" in names
    assert not re.search(r"cuda|gpu|jupyter-book|pytest", str(names))
    assert "accelerators" not in extras(
        (branch / "binder/postBuild").read_text()
    )


def test_binder_can_execute_what_it_executes_after_building(branch):
    script = branch / "binder/postBuild"
    assert script.read_text().startswith("#!/")
    assert os.access(script, os.X_OK)
    run("bash", "-n", script, folder=branch)


def test_branch_can_be_installed(branch):
    """What pyproject.toml names lies beside it."""
    project = tomllib.loads((branch / "pyproject.toml").read_text("utf8"))
    files = [
        project["project"]["readme"],
        *project["project"]["license-files"],
    ]
    assert all((branch / name).is_file() for name in files)
    [package] = project["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    assert (branch / package / "__init__.py").is_file()
    assert not list(branch.rglob("__pycache__"))


def test_conda_takes_the_pins_and_no_others():
    spec = yaml.safe_load((ROOT / "environment.yml").read_text("utf8"))
    [pip] = [d["pip"] for d in spec["dependencies"] if isinstance(d, dict)]
    assert pip == ["-r requirements.txt"]
    assert "defaults" not in spec["channels"]


# Publishing


WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request):
    return request.param.read_text(encoding="utf8")


def steps(workflow: str) -> list[dict]:
    jobs = yaml.safe_load(workflow)["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def test_there_are_the_two_workflows():
    assert {path.stem for path in WORKFLOWS} == {"publish", "weekly"}


def test_actions_are_pinned_and_say_their_version(workflow):
    uses = [step["uses"] for step in steps(workflow) if "uses" in step]
    lines = re.findall(
        r"uses: (\S+@[0-9a-f]{40}) # v\d+\.\d+\.\d+$", workflow, re.MULTILINE
    )
    assert uses
    assert sorted(lines) == sorted(uses)
    versions = dict(line.split("@") for line in uses)
    assert all(f"{n}@{v}" in uses for n, v in versions.items())
    assert len(set(uses)) == len(versions), "one version of each action"


def test_jobs_may_do_no_more_than_they_need(workflow):
    whole = yaml.safe_load(workflow)
    assert whole["permissions"] == {}
    for name, job in whole["jobs"].items():
        assert job["timeout-minutes"] <= 120
        scripts = " ".join(step.get("run", "") for step in job["steps"])
        writes = {k for k, v in job["permissions"].items() if v == "write"}
        if writes:
            assert not re.search(r"make|pip|python|pytest", scripts), name
            assert not any(
                "checkout" in s.get("uses", "") for s in job["steps"]
            )


def test_workflows_name_no_repository_but_the_one_they_run_in(workflow):
    addresses = re.findall(
        r"https?://\S+|(?<!\.)\bgithub\.com\S*|\w+\.github\.io", workflow
    )
    assert addresses == []
    scripts = " ".join(step.get("run", "") for step in steps(workflow))
    pushed = re.findall(r"git push.*", scripts)
    assert all("$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" in p for p in pushed)


def test_what_is_published_is_what_the_build_makes(built_book):
    text = (ROOT / ".github/workflows/publish.yml").read_text(encoding="utf8")
    whole = yaml.safe_load(text)
    scripts = [step.get("run", "") for step in whole["jobs"]["build"]["steps"]]
    order = [s for s in scripts if s.startswith("make")]
    assert order == ["make book", "make test"]
    paths = [
        str(step["with"].get("path")) for step in steps(text) if "with" in step
    ]
    assert "_build/html" in paths
    assert any("--directory=_build notebooks" in script for script in scripts)
    assert any("_build/.jupyter_cache" in path for path in paths)
    assert whole["jobs"]["notebooks"]["needs"] == "build"
    assert whole["jobs"]["pages"]["needs"] == "notebooks"
    assert (built_book / "index.html").is_file()


def test_weekly_takes_every_dependency_without_pins():
    text = (ROOT / ".github/workflows/weekly.yml").read_text(encoding="utf8")
    scripts = " ".join(step.get("run", "") for step in steps(text))
    assert "requirements.txt" not in scripts
    [editable] = re.findall(r'--editable "(.*?)"', scripts)
    assert extras(editable) == set(declared())
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))
    asked = re.findall(r"--group (\S+)", scripts)
    assert set(asked) == set(groups["dependency-groups"])


def test_first_cell_asks_for_what_the_page_imports(branch):
    """PyTorch only where a page reaches it: it is large."""
    asked = {
        name: extras(
            re.search(
                r"\{folder.resolve\(\)\}\[.*?\]",
                texts(
                    nbformat.read(branch / name, nbformat.NO_CONVERT), "code"
                )[0],
            )[0]
        )
        for name in names_below(branch)
    }
    assert "accelerators" in asked["one_machine/randomness.ipynb"]
    assert "accelerators" not in asked["one_machine/threads.ipynb"]
    assert asked["data.ipynb"] == {"data"}
