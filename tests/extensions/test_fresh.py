"""Builds small books with `jupyter-book build .` and counts executions.

The oracle is a file to which every execution of a page appends its name, so
nothing that the build says about itself is believed.
"""

import json
import os
import platform
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil
import pytest

EXTENSIONS = Path(__file__).parents[2] / "book" / "_ext"
SECONDS = 120
CONFIG = f"""
title: small
only_build_toc_files: true
execute: {{execute_notebooks: cache, run_in_temp: true, timeout: 60}}
sphinx:
  local_extensions: {{fresh: {EXTENSIONS}, foot: {EXTENSIONS}}}
  config: {{fresh_package: tiny}}
"""
PAGE = """---
file_format: mystnb
kernelspec:
  name: python3
{front}
---
# {name}

Some prose.

```{{code-cell}} python
import os
with open(os.environ["RAN"], "a") as file:
    file.write("{name}\\n")
{code}
```
"""
MODULES = {
    "__init__": "",
    "toolbox/__init__": "",
    "one": "from tiny import base\n\ndef value():\n    return base.VALUE\n",
    "base": "VALUE = 'base-1'\n",
    "script": "print('script-1')\n",
    "unused": "",
}
CODE = {
    "through": "from tiny.one import value; print(value())",
    "command": "import subprocess, sys\nprint(subprocess.run("
    "[sys.executable, '-m', 'tiny.script'], text=True,"
    " capture_output=True).stdout)",
    "data": "print('rows' and 'row-a')",
    "library": "import filelock; print(filelock.__name__)",
    "plain": "print('nothing of ours')",
}
OFF = "execute_notebooks: off"
FRONT = {"command": "depends: [tiny.script, native.c]"}


@dataclass
class SmallBook:
    """A book in a folder, and what its builds executed."""

    root: Path
    run: Callable[..., subprocess.CompletedProcess]

    def __post_init__(self) -> None:
        self.ran = self.root / "ran.txt"

    def command(self) -> list[str]:
        return [
            str(Path(sys.executable).with_name("jupyter-book")),
            "build",
            ".",
        ]

    def environment(self, **more: str) -> dict[str, str]:
        path = os.pathsep.join(
            [str(self.root / "code"), more.pop("PATHS", "")]
        )
        return {**os.environ, "PYTHONPATH": path, "RAN": str(self.ran), **more}

    def build(self, **environment: str) -> tuple[list[str], str]:
        """Build; returns the pages executed, and what the build said."""
        self.ran.write_text("")
        done = self.run(
            ["jupyter-book", "build", "."],
            self.root,
            self.environment(**environment),
        )
        self.failed = done.returncode != 0
        return sorted(self.ran.read_text().split()), done.stdout

    def html(self, name: str) -> str:
        return (self.root / "_build/html" / f"{name}.html").read_text()

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def page(self, name: str, code: str) -> None:
        front = FRONT.get(name, "")
        text = PAGE.format(name=name, code=code, front=front)
        self.write(f"{name}.md", text)

    def contents(self, *names: str) -> None:
        chapters = "".join(f"  - file: {name}\n" for name in names)
        toc = f"format: jb-book\nroot: index\nchapters:\n{chapters}"
        self.write("_toc.yml", toc)


@pytest.fixture(scope="module")
def built(tmp_path_factory, run_prepared):
    """A book of five pages, built once."""
    book = SmallBook(tmp_path_factory.mktemp("book"), run_prepared)
    book.write("_config.yml", CONFIG)
    book.write("index.md", "# Index\n\n```{executions}\n```\n")
    book.write("native.c", "int one = 1;\n")
    book.write(
        "code/tiny/toolbox/datasets.toml",
        "[row-a]\nchecksum = '1'\n[row-b]\nchecksum = '1'\n",
    )
    book.write("code/tiny/recorded/rows_machine.json", "{}")
    for name, source in MODULES.items():
        book.write(f"code/tiny/{name}.py", source)
    for name, code in CODE.items():
        book.page(name, code)
    book.contents(*CODE)
    executed, said = book.build()
    assert executed == sorted(CODE), said
    assert not book.failed
    return book


@pytest.fixture
def book(built):
    """That book, put back as it was (and its cache kept) after the test."""
    kept = built.root.with_name("kept")
    shutil.copytree(built.root, kept, symlinks=True)
    yield built
    shutil.rmtree(built.root)
    kept.rename(built.root)


def test_nothing_changed_executes_nothing(book):
    assert book.build()[0] == []


def test_prose_captions_and_new_html_execute_nothing(book):
    book.replace("through.md", "Some prose.", "Other prose.")
    book.replace(
        "plain.md",
        "```{code-cell} python\n",
        "```{code-cell} python\n---\nmystnb:\n  image: {alt: words}\n---\n",
    )
    shutil.rmtree(book.root / "_build/html")
    executed, said = book.build()
    assert executed == []
    assert "WARNING" not in said
    assert "Other prose." in book.html("through")
    assert "nothing of ours" in book.html("plain")


def test_a_module_reached_through_another_one(book):
    book.replace("code/tiny/base.py", "base-1", "base-2")
    assert book.build()[0] == ["through"]
    assert "base-2" in book.html("through")
    book.replace("code/tiny/base.py", "base-2", "base-1")
    assert book.build()[0] == [], "outputs of the earlier source are kept"
    assert "base-1" in book.html("through")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("code/tiny/script.py", "script-1", "script-2"),
        ("native.c", "int one = 1", "int one = 2"),
    ],
)
def test_what_depends_names(book, name, old, new):
    book.replace(name, old, new)
    assert book.build()[0] == ["command"]


def test_modules_and_rows_that_nobody_uses_execute_nothing(book):
    book.write("code/tiny/unused.py", "VALUE = 1\n")
    table = "code/tiny/toolbox/datasets.toml"
    book.replace(table, "[row-b]\nchecksum = '1'", "[row-b]\nchecksum = '2'")
    assert book.build()[0] == []


def test_dataset_row_and_new_record(book):
    table = "code/tiny/toolbox/datasets.toml"
    book.replace(table, "[row-a]\nchecksum = '1'", "[row-a]\nchecksum = '2'")
    assert book.build()[0] == ["data"]
    book.write("code/tiny/recorded/rows_other.json", "{}")
    assert book.build()[0] == ["data"]


def test_stand_in_and_official_data_are_told_apart(book, monkeypatch):
    table = "code/tiny/toolbox/datasets.toml"
    book.replace(table, "[row-b]", "stand_in = 'other files'\n[row-b]")
    monkeypatch.setenv("PARALLEL_AI_DATA", "folder")
    assert book.build()[0] == ["data"]
    monkeypatch.delenv("PARALLEL_AI_DATA")
    assert book.build()[0] == ["data"]


def test_version_of_a_library(book, tmp_path):
    """A library of another version, as far as its metadata say."""
    info = tmp_path / "filelock-99.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: filelock\nVersion: 99.0\n"
    )
    (info / "RECORD").write_text("filelock/__init__.py,,\n")
    executed, said = book.build(PATHS=str(tmp_path))
    assert executed == ["library"], said


def test_failing_cell_names_chapter_cell_and_error_and_keeps_the_rest(book):
    book.replace("code/tiny/one.py", "return base.VALUE", "return 1 / 0")
    book.replace("native.c", "1", "2")
    before = book.html("through")
    executed, said = book.build()
    assert book.failed
    assert executed == ["command", "through"]
    assert "through, cell 1: ZeroDivisionError: division by zero" in said
    assert "return 1 / 0" in said, "the traceback shows the line"
    assert book.html("through") == before
    book.replace("code/tiny/one.py", "return 1 / 0", "return base.VALUE")
    assert book.build()[0] == [], "the good outputs and the other page's"
    assert not book.failed


def test_cell_that_kills_its_kernel_is_named(book):
    book.page("plain", "os.kill(os.getpid(), 9)")
    _, said = book.build()
    assert book.failed
    assert "plain, cell 1" in said
    assert "DeadKernelError" in said


def test_import_that_cannot_be_seen_is_refused(book):
    book.page("plain", "__import__('tiny.' + 'unused')")
    _, said = book.build()
    assert book.failed
    assert "plain: imports tiny, tiny.unused in a way" in said
    assert "depends:" in said


@pytest.mark.parametrize(
    ("front", "words"),
    [
        ("depends: [nothing.c]", "'nothing.c'"),
        ("kernelspec: {name: python3}", "name: python3"),
    ],
)
def test_front_matter_that_cannot_be_used_is_explained(book, front, words):
    old = "kernelspec:\n  name: python3\n"
    book.replace(
        "plain.md", old, front + "\n" + (old if "dep" in front else "")
    )
    _, said = book.build()
    assert book.failed
    assert "plain: " in said
    assert words in said


def test_options_of_a_cell_that_are_no_yaml_are_found(book):
    options = "---\nmystnb:\n  image: {alt: a: b}\n---\n"
    book.replace(
        "plain.md",
        "```{code-cell} python\n",
        "```{code-cell} python\n" + options,
    )
    _, said = book.build()
    assert book.failed
    assert "plain.md: Code cell 1 at line 11 could not be read" in said


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_killed_build_keeps_the_pages_that_finished(book, kind):
    book.ran.write_text("")
    for name in ("data", "library"):
        book.page(name, f"print('again {name}')")
    book.page(
        "plain", "print('hang', flush=True)\nimport time\ntime.sleep(3600)"
    )
    build = subprocess.Popen(
        book.command(),
        cwd=book.root,
        env=book.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watch = threading.Timer(SECONDS, build.kill)
    watch.start()
    for line in build.stdout:  # ends when the build does
        if line.startswith("[2/3] library:"):
            build.send_signal(kind)
            break
    rest = build.stdout.read()  # until its kernel has ended, too
    build.stdout.close()
    code = build.wait(SECONDS)
    watch.cancel()
    if kind == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code != 0
        assert "Interrupted!" in rest
    book.page("plain", "print('calm')")
    executed, said = book.build()
    assert executed == ["plain"], said
    assert "again library" in book.html("library")


def test_two_builds_at_once(book):
    book.ran.write_text("")
    for name in ("data", "plain"):
        book.page(name, f"print('both {name}')")
    builds = [
        subprocess.Popen(
            book.command(),
            cwd=book.root,
            env=book.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    said = [build.communicate(timeout=SECONDS)[0] for build in builds]
    assert [build.returncode for build in builds] == [0, 0], said
    assert sorted(book.ran.read_text().split()) == ["data", "plain"]
    assert book.build()[0] == []


@pytest.mark.parametrize("damage", ["outputs", "outputs gone", "database"])
def test_damaged_cache_is_noticed_and_made_again(book, damage):
    cache = book.root / "_build/.jupyter_cache"
    if damage == "database":
        (cache / "global.db").write_bytes(b"not a database" * 1000)
        expected = sorted(CODE)
    else:
        stored = next(
            path
            for path in cache.glob("executed/*/base.ipynb")
            if "nothing of ours" in path.read_text()
        )
        text = stored.read_text().replace("nothing of ours\\n", "forged\\n")
        stored.write_text(text) if damage == "outputs" else stored.unlink()
        expected = ["plain"]
    executed, said = book.build()
    assert executed == expected, said
    assert not book.failed
    assert "forged" not in book.html("plain")


def test_off_executes_nothing_and_shows_what_the_cache_has(book):
    book.replace("_config.yml", "execute_notebooks: cache", OFF)
    book.replace("code/tiny/base.py", "base-1", "base-2")
    executed, said = book.build()
    assert (executed, book.failed) == ([], False), said
    assert "off. Shown without outputs: through\n" in said
    for name, output in (("through", "base-"), ("command", "script-")):
        cached = name == "command"
        assert (output in book.html(name)) == cached
        assert ("The cells of this page ran" in book.html(name)) == cached
        assert (f'href="{name}.html"' in executions(book)) == cached
    summary = (book.root / "_build/summary.txt").read_text()
    assert summary.startswith("6 pages, 0 executed, 4 from cache, ")
    book.replace("_config.yml", OFF, "execute_notebooks: cache")
    executed, said = book.build()
    assert (executed, book.failed) == (["through"], False), said
    assert "base-2" in book.html("through")


def executions(book: SmallBook) -> str:
    """What the index says of executions."""
    return re.search("<tbody.*?</tbody>", book.html("index"), re.DOTALL)[0]


def test_off_without_a_cache_shows_every_page_without_outputs(book):
    book.replace("_config.yml", "execute_notebooks: cache", OFF)
    shutil.rmtree(book.root / "_build")
    executed, said = book.build()
    assert (executed, book.failed) == ([], False), said
    assert f"without outputs: {', '.join(CODE)}\n" in said
    assert "script-" not in book.html("command")


def test_what_was_read_is_read_again_when_it_is_damaged(book):
    memory = book.root / "_build/read.json"
    text = memory.read_text()
    memory.write_text(text[: len(text) // 2])
    executed, said = book.build()
    assert (executed, book.failed) == ([], False), said
    again, before = (json.loads(t) for t in (memory.read_text(), text))
    assert {n: one["key"] for n, one in again.items()} == {
        n: one["key"] for n, one in before.items()
    }


def test_what_was_read_is_used_only_for_the_same_text_and_settings(book):
    book.replace("_config.yml", "title: small", "title: large")
    assert book.build()[0] == []
    book.replace("plain.md", "nothing of ours", "something else")
    assert book.build()[0] == ["plain"]
    assert "something else" in book.html("plain")


def test_an_edit_that_looks_old_is_shown(book):
    """As after the clock was set back, or from an archive that keeps times."""
    for name, old, new in (
        ("through.md", "Some prose.", "Older prose."),
        ("index.md", "# Index", "# An older index"),
    ):
        then = (book.root / name).stat().st_mtime - 86_400
        book.replace(name, old, new)
        os.utime(book.root / name, (then, then))
    executed, said = book.build()
    assert (executed, book.failed) == ([], False), said
    assert "Older prose." in book.html("through")
    assert "An older index" in book.html("index")


def test_half_a_page_of_a_killed_build_is_written_again(book):
    """It is younger than its source, so Sphinx takes it for a whole one."""
    path = book.root / "_build/html/plain.html"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    (book.root / "_build/.unfinished").touch()
    executed, said = book.build()
    assert (executed, book.failed) == ([], False), said
    article, again = (
        t.partition("<article")[2] for t in (whole, path.read_text())
    )
    assert again == article
    assert not (book.root / "_build/.unfinished").exists()


def test_a_build_leaves_a_mark_exactly_while_it_writes(book):
    book.write("conf_mark.py", MARK)
    book.replace("_config.yml", "{fresh:", "{conf_mark: ., fresh:")
    book.replace("plain.md", "Some prose.", "Other prose.")
    _, said = book.build()
    assert not book.failed, said
    assert "marked while reading: False" in said
    assert "marked while writing: True" in said
    assert not (book.root / "_build/.unfinished").exists()


MARK = """
from pathlib import Path

def tell(app, when):
    mark = Path(app.outdir).parent / ".unfinished"
    print(f"marked while {when}: {mark.exists()}", flush=True)

def setup(app):
    app.connect("doctree-read", lambda app, _: tell(app, "reading"))
    app.connect("html-page-context", lambda app, *_: tell(app, "writing"))
    return {"parallel_read_safe": True}
"""


@pytest.fixture
def table(book):
    """The cache's table of contents, open to be changed behind its back."""
    path = book.root / "_build/.jupyter_cache/global.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as found:
        yield found


@pytest.mark.parametrize(
    "change",
    [
        """data = replace(data, '"memory": ', '"memory": 1')""",
        "data = 'null'",
        "data = replace(data, 'executed', 'exeguted')",
        "hashkey = ''",
        "hashkey = '../../html'",
    ],
)
def test_a_changed_entry_is_told_and_executed_again(book, table, change):
    table.execute(f"UPDATE nbcache SET {change} WHERE uri = 'plain'")
    shutil.rmtree(book.root / "_build/html")
    shutil.rmtree(book.root / "_build/.doctrees")
    executed, said = book.build()
    assert (executed, book.failed) == (["plain"], False), said
    assert "plain: its outputs in the cache are damaged" in said
    assert "nothing of ours" in book.html("plain")


def test_an_entry_from_before_there_were_seals_is_used(book, table):
    table.execute("UPDATE nbcache SET data = json_remove(data, '$.seal')")
    assert book.build()[0] == []


def test_an_index_that_does_not_fit_is_noticed(book, table):
    """Nothing that is read of the table is wrong, only what finds it."""
    table.execute("PRAGMA writable_schema = ON")
    table.execute(
        "UPDATE sqlite_master SET rootpage ="
        " (SELECT rootpage FROM sqlite_master WHERE name = 'settings')"
        " WHERE name = 'sqlite_autoindex_nbcache_1'"
    )
    executed, said = book.build()
    assert (executed, book.failed) == (sorted(CODE), False), said
    assert ".jupyter_cache is damaged" in said


def test_a_cache_that_is_in_use_is_kept(book, table):
    table.execute("BEGIN EXCLUSIVE")
    executed, said = book.build()
    assert (executed, book.failed) == ([], True)
    assert "cannot be used: database is locked" in said
    table.execute("ROLLBACK")
    executed, said = book.build()
    assert (executed, book.failed) == ([], False), said


def test_a_cell_that_was_read_otherwise_is_not_executed(book):
    memory = book.root / "_build/read.json"
    text = memory.read_text()
    assert "nothing of ours" in text
    memory.write_text(
        text.replace("nothing of ours", "what a disk made of it")
    )
    executed, said = book.build()
    assert (executed, book.failed) == ([], False), said
    assert "what a disk made of it" not in memory.read_text()


TEAM = """
import atexit, os, pathlib, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import joblib
started = get_context("forkserver")
with ProcessPoolExecutor(1, started) as pool:
    print(pool.submit(abs, -1).result())
print(joblib.Parallel(2)(joblib.delayed(abs)(i) for i in range(4)))
atexit.register(pathlib.Path({ended!r}).write_text, str(os.getpid()))
{more}
"""
LEFT = """
left = started.Process(target=time.sleep, args=(600,), daemon=True)
left.start()
pathlib.Path({left!r}).write_text(str(left.pid))
"""


def test_a_kernel_ends_by_itself_after_all_kinds_of_workers(book):
    ended = str(book.root / "ended")
    book.page("plain", TEAM.format(ended=ended, more=""))
    _, said = book.build()
    assert not book.failed, said
    assert Path(ended).exists(), "it was killed before it had done its last"


def test_a_process_that_a_page_has_left_is_ended(book):
    left = str(book.root / "left")
    more = LEFT.format(left=left)
    book.page("plain", TEAM.format(ended=os.devnull, more=more))
    _, said = book.build()
    assert not book.failed, said
    assert not psutil.pid_exists(int(Path(left).read_text("utf-8")))


def test_kernels_are_reached_through_files_not_ports(book):
    """One port is left: ipykernel's own, for what forked children print.

    It is on loopback, and takes only messages that carry a random key.
    """
    book.page(
        "plain",
        "import json, psutil\n"
        "from ipykernel.kernelapp import IPKernelApp\n"
        "app = IPKernelApp.instance()\n"
        "ports = [c.laddr for c in psutil.Process().net_connections()]\n"
        "own = ['127.0.0.1', app.iopub_thread._pipe_port]\n"
        "print('OPEN', json.dumps([app.transport, own, ports]))",
    )
    _, said = book.build()
    assert not book.failed, said
    line = book.html("plain").partition("OPEN ")[2].partition("\n")[0]
    transport, own, ports = json.loads(line.replace("&quot;", '"'))
    assert transport == "ipc"
    assert all(port == own for port in ports)


def test_summary_counts(book):
    book.replace("native.c", "1", "2")
    book.build()
    summary = (book.root / "_build/summary.txt").read_text()
    assert summary.startswith("6 pages, 1 executed, 4 from cache, ")
    assert "slowest command (" in summary


def test_foot_tells_of_the_execution_also_from_the_cache(book):
    foot = re.compile(r"The cells of this page ran on [^<]*")
    before = foot.findall(book.html("library"))
    assert len(before) == 1
    assert f"Python {platform.python_version()}" in before[0]
    assert f"filelock {metadata.version('filelock')}" in before[0]
    shutil.rmtree(book.root / "_build/html")
    shutil.rmtree(book.root / "_build/.doctrees")
    assert book.build()[0] == []
    assert foot.findall(book.html("library")) == before


def test_table_of_executions_follows_every_execution(book):
    def row(name: str) -> str:
        rows = re.findall(r"<tr.*?</tr>", book.html("index"), re.DOTALL)
        return next(row for row in rows if f'href="{name}.html"' in row)

    library, command = row("library"), row("command")
    book.replace("native.c", "1", "2")
    book.page("command", "print(sum(range(50_000_000)))  # longer than before")
    book.build()
    assert row("library") == library
    assert row("command") != command
