"""The guide for authors: its smallest chapter is built as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[1]
NAME = "one_machine/dice"
TEST = "tests/one_machine/test_dice.py"
SECONDS = 300
STEP = re.compile(
    r"^\*\*\d\. .*?`(\S+/\S+)`.*?^(`{3,})\w+\n(.*?)^\2$",
    re.MULTILINE | re.DOTALL,
)


def copied(root: Path) -> None:
    """Copy what git tracks, or would."""
    done = subprocess.run(
        ["git", "ls-files", "-zco", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, root / name)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository with the guide's chapter in it."""
    root = tmp_path_factory.mktemp("house")
    copied(root)
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf8")
    steps = {name: text for name, _, text in STEP.findall(guide)}
    assert list(steps) == [
        f"code/parallel_ai/{NAME}.py",
        f"book/{NAME}.md",
        TEST,
    ]
    for name, text in steps.items():
        (root / name).write_text(text, "utf8")
    toc = root / "_toc.yml"
    line = re.search(r"`(- file: .*?)`", guide)[1]
    after = "      - file: book/one_machine/choosing\n"
    assert after in toc.read_text("utf8")
    text = toc.read_text("utf8").replace(after, f"{after}      {line}\n")
    toc.write_text(text, "utf8")
    return root


def run(house: Path, *command: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=house,
        env=os.environ | {"PYTHONPATH": str(house / "code")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_its_test_passes(house):
    quietly = ["-q", "-p", "no:cacheprovider"]
    said = run(house, "-m", "pytest", *quietly, TEST)
    assert "9 passed" in said


def test_the_house_has_nothing_against_it(house):
    subprocess.run(["git", "init", "-q"], cwd=house, check=True)
    quietly = ["-q", "-p", "no:cacheprovider"]
    rules = "dice or rooms or table_of_contents or one_way or named_like"
    run(house, "-m", "pytest", *quietly, "tests/test_layout.py", "-k", rules)
    ruff = Path(sys.executable).with_name("ruff")
    paths = [f"code/parallel_ai/{NAME}.py", TEST]
    for verb in ("check", "format --check"):
        subprocess.run([ruff, *verb.split(), *paths], cwd=house, check=True)


def test_its_page_is_built_without_a_warning(house):
    """Alone: the pages that it needs are headings, and execute nothing."""
    others = ("index", "one_machine/measuring")
    for name in others:
        (house / f"book/{name}.md").write_text("# Stands for another\n")
    (house / "_toc.yml").write_text(
        f"format: jb-book\nroot: book/{others[0]}\nchapters:\n"
        f"  - file: book/{others[1]}\n  - file: book/{NAME}\n"
    )
    build = "from jupyter_book.cli.main import main; main()"
    options = ["build", ".", "-W", "-n", "--keep-going", "-q"]
    run(house, "-c", build, *options)
    html = (house / f"_build/html/book/{NAME}.html").read_text("utf8")
    article = BeautifulSoup(html, "html.parser").article
    assert "Two workers find the same mean" in article.text
    assert "def merge(means, counts):" in article.text
    assert article.select(".quiz .question, .overview")
