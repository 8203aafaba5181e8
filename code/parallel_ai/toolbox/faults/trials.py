"""A small real book to break: built by this repository's own extensions."""

import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from parallel_ai.toolbox import builds
from parallel_ai.toolbox.faults import UnavailableError

SECONDS = 180  # for one build, on a machine that is busy
ENDED = 30  # seconds in which kernels of a killed build end
PAGE = """---
file_format: mystnb
kernelspec:
  name: python3
---
# Page {number}

A sentence.

```{{literalinclude}} shown.txt
```

```{{code-cell}} python
import os
from tiny.part_{number} import VALUE
with open(os.environ["RAN"], "a") as file:
    print("book/page_{number}", file=file)
print(VALUE)
```
"""
SHOWN = "A file that the page shows.\n"
# What a build says of a page whose outputs are in the cache.
STORED = re.compile(r"^\[\d+/\d+\] (\S+): [\d.]+ s, ", re.MULTILINE)
DIGIT = re.compile(r"\d")
FOOT = re.compile(rb'The cells of this page ran on [^<"]*')


@dataclass(frozen=True)
class Said:
    """How a build ended, what it said, and which pages it executed."""

    code: int
    text: str
    ran: list[str]

    @property
    def stored(self) -> set[str]:
        """Pages of which it said that they are done."""
        return set(STORED.findall(self.text))


@dataclass
class Trial:
    """A book, and a folder for what is kept between its builds.

    Which pages are executed is told by the pages themselves, in a file;
    nothing that a build says about itself is believed.
    """

    book: builds.Small
    folder: Path

    def __post_init__(self) -> None:
        """Find the places, and make a folder for what passes."""
        self.root = self.book.root
        self.built = self.root / "_build"
        self.ran = self.folder / "ran"
        self.started: list[subprocess.Popen] = []
        self.temporary = self.folder / "t"
        self.temporary.mkdir()

    def environment(self) -> dict[str, str]:
        """Variables of a build: where it tells, and keeps what passes."""
        return self.book.environment() | {
            "RAN": str(self.ran),
            "TMPDIR": str(self.temporary),
        }

    def start(self, *before: str, name: str = "said") -> subprocess.Popen:
        """Start a build in a group of processes of its own."""
        with open(self.folder / name, "w", encoding="utf8") as output:
            process = subprocess.Popen(  # noqa: S603
                [*before, *self.book.command()],
                cwd=self.root,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def end(self) -> None:
        """Kill what still builds, if the trial itself was ended."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()

    def said(self, process: subprocess.Popen, name: str = "said") -> Said:
        """Wait for the end of a build; kill one that does not end."""
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
        text = (self.folder / name).read_text("utf8", "replace")
        return Said(process.returncode, text, self.ran.read_text().split())

    def build(self, *before: str) -> Said:
        """Build what is stale."""
        self.ran.write_text("")
        return self.said(self.start(*before))

    def undisturbed(self) -> Said:
        """Build, and insist that it goes well.

        Raises
        ------
        BuildError
            It does not; the message is what it said.
        """
        done = self.build()
        if done.code:
            raise builds.BuildError(done.text)
        return done

    def value(self, page: int, text: str) -> None:
        """Let a page's module have another value."""
        path = self.root / f"code/tiny/part_{page}.py"
        path.write_text(f"VALUE = {text!r}\n", "utf8")

    def keep(self, name: str) -> None:
        """Keep what is built, to begin from it again."""
        shutil.copytree(self.built, self.folder / name, symlinks=True)

    def restore(self, name: str = "") -> None:
        """Put back what was kept; without a name, nothing is built."""
        shutil.rmtree(self.built, ignore_errors=True)
        if name:
            shutil.copytree(self.folder / name, self.built, symlinks=True)

    def pages(
        self, folder: Path | None = None, ran: Collection[str] | None = None
    ) -> dict[str, str]:
        """Digest of each file of the built pages.

        When and how long a page was executed is left out, of all pages or of
        those in `ran`.
        """
        folder = folder or self.built / "html"
        found = {}
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            name, data = path.relative_to(folder).as_posix(), path.read_bytes()
            if ran is None or page_of(name) in ran:
                data = FOOT.sub(b"", data)
            if name == "searchindex.js":
                data = _searched(data)
            found[name] = hashlib.sha256(data).hexdigest()
        return found

    def unsound(self) -> str:
        """Say what SQLite finds wrong with the cache's table of contents."""
        path = self.built / ".jupyter_cache/global.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            (word,) = db.execute("PRAGMA integrity_check").fetchone()
        return "" if word == "ok" else f"the cache is unsound: {word}"

    def left(self) -> str:
        """Say which processes outlive the build that started them."""
        mine = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("RAN") == str(self.ran):
                    mine.append(process)
            except psutil.Error:
                continue
        _, alive = psutil.wait_procs(mine, timeout=ENDED)
        for process in alive:
            process.kill()
        return f"processes left: {alive}" if alive else ""


def page_of(name: str) -> str:
    """Name the page that a built file shows, or its notebook."""
    return f"book/{Path(name).stem}"


def _searched(script: bytes) -> bytes:
    """Take what can be searched for, whatever the order it was built in."""
    index = json.loads(script[script.index(b"(") + 1 : script.rindex(b")")])
    words = [
        sorted(
            word
            for word, pages in index[name].items()
            if pages != [] and not DIGIT.search(word)  # the foot's numbers
        )
        for name in ("terms", "titleterms")
    ]
    return json.dumps([sorted(index["docnames"]), words]).encode()


def other(found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Say in which files two builds differ."""
    names = [
        name
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]
    return f"{len(names)} files differ: {', '.join(names[:4])}" * bool(names)


def failed(done: Said) -> str:
    """Say how a build ended that should have gone well."""
    return f"ended with {done.code}: …{done.text[-500:]}" if done.code else ""


@contextmanager
def trial(pages: int = 3) -> Iterator[Trial]:
    """Make a book of executed pages, and delete it afterwards.

    Raises
    ------
    UnavailableError
        This is no checkout of the repository.
    """
    if not (builds.ROOT / "_config.yml").exists():
        raise UnavailableError("there is no checkout of the repository")
    with (
        builds.small(pages, True, PAGE) as book,
        TemporaryDirectory() as folder,
    ):
        one = Trial(book, Path(folder))
        (one.root / "book/shown.txt").write_text(SHOWN, "utf8")
        for number in range(pages):
            one.value(number, f"old {number}")
        try:
            yield one
        finally:
            one.end()
