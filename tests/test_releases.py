"""A version stands in one place, and whatever repeats it says the same."""

import re
import tomllib
from pathlib import Path

import yaml

from parallel_ai.toolbox import pages

ROOT = Path(__file__).parents[1]
HEAD = re.compile(r"^## (\d+\.\d+\.\d+) - (.+)$", re.MULTILINE)


def text(name: str) -> str:
    return (ROOT / name).read_text("utf8")


def version() -> str:
    return tomllib.loads(text("pyproject.toml"))["project"]["version"]


def versions() -> list[tuple[str, str]]:
    """Versions of the changelog with their days, the newest first."""
    return HEAD.findall(text("CHANGELOG.md"))


def number(one: str) -> tuple[int, ...]:
    return tuple(map(int, one.split(".")))


def test_changelog_and_citation_tell_of_the_package_version():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert versions()[0][0] == citation["version"] == version()


def test_a_version_has_the_same_day_wherever_it_has_one():
    """The one that is being written has none yet."""
    day = yaml.safe_load(text("CITATION.cff")).get("date-released")
    assert versions()[0][1] == (str(day) if day else "not yet released")
    days = [day for _, day in versions()[1:]]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", day) for day in days)


def test_versions_of_the_changelog_grow():
    numbers = [number(one) for one, _ in versions()]
    assert numbers == sorted(set(numbers), reverse=True)


def test_the_version_of_the_package_is_typed_nowhere_in_the_book():
    """Pages take it from the package, so none can tell of an old one."""
    typed = re.compile(rf"[Vv]ersion\s+{re.escape(version())}\b")
    found = [
        p
        for p in (ROOT / "book").rglob("*.md")
        if typed.search(p.read_text("utf8"))
    ]
    assert found == []


def test_commands_of_the_release_name_the_archive_that_is_made():
    guide = text("RELEASING.md")
    named = set(re.findall(rf"{pages.TITLE}-([\w.]+)\.zip", guide))
    assert len(named) == 1
    tags = set(re.findall(r"\bv(\d+\.\d+\.\d+)", guide))
    assert tags == named


def test_commands_of_the_release_are_verbs_of_make():
    verbs = set(re.findall(r"^([a-z-]+):.*##", text("Makefile"), re.MULTILINE))
    used = re.findall(
        r"^\s*make ([a-z ]+?)(?: && |$)", text("RELEASING.md"), re.MULTILINE
    )
    used += re.findall(r"`make ([a-z ]+)`", text("RELEASING.md"))
    words = {word for line in used for word in line.split()}
    assert words
    assert words <= verbs
