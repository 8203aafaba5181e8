"""Cuts a stylesheet down to what the pages of a book can show.

A rule stays if every class, identifier, element and attribute that one of
its selectors asks for occurs in a page, or in a script as a word: whatever a
script adds later, it names. How these stand to one another in a page is not
looked at, nor is what `:not()` asks for, so a rule too many may stay, but
none that matters goes. Custom properties and animations that no rule uses any
more go too. (PurgeCSS does the same, with Node, which readers need not have.)
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import tinycss2

Names = set[str]  # "tag", ".class", "#identifier", "[attribute", "--property"
CONDITIONS = {"media", "supports", "container", "layer"}
ANY_OF = {"is", "where", "has", "matches", "-webkit-any", "-moz-any"}
BROWSER_SETS = {"[open", "[class", "[id"}
TAG = re.compile(r"<([a-zA-Z][\w-]*)((?:\"[^\"]*\"|'[^']*'|[^'\">])*)>")
ATTRIBUTE = re.compile(r"([^\s=\"'/]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'))?")
WORD = re.compile(r"-{0,2}[A-Za-z_][\w-]*")
DATASET = re.compile(r"dataset\.(\w+)")
PROPERTY = re.compile(r"--[\w-]+")
VARIABLE = re.compile(r"var\(\s*(--[\w-]+)")
ADDRESS = re.compile(r"url\((?!['\"]?(?:data:|#|/|\w+:))(['\"]?)(.+?)\1\)")


@dataclass
class Rule:
    """Selectors and what they set."""

    selectors: list[str]
    declarations: list[tuple[str, str]]

    def __str__(self) -> str:
        """Write it."""
        body = ";".join(
            f"{name}:{value}" if name else value
            for name, value in self.declarations
        )
        return f"{','.join(self.selectors)}{{{body}}}"


@dataclass
class Group:
    """An at-rule with rules inside, such as ``@media print``."""

    head: str
    rules: list[Any] = field(default_factory=list)

    def __str__(self) -> str:
        """Write it."""
        return f"{self.head}{{{''.join(map(str, self.rules))}}}"


def names_in(html: str) -> Names:
    """All names in a page that a selector can ask for."""
    names: Names = set()
    for tag, attributes in set(TAG.findall(html)):
        names.add(tag.lower())
        for key, *values in ATTRIBUTE.findall(attributes):
            value = "".join(values)
            names.add(f"[{key.lower()}")
            if key == "class":
                names.update(f".{name}" for name in value.split())
            elif key == "id":
                names.add(f"#{value}")
            elif key == "style":
                names.update(PROPERTY.findall(value))
    return names


def names_in_script(script: str) -> Names:
    """Whatever a script can give to an element: any word, but no letter."""
    words = {word for word in WORD.findall(script) if len(word) > 1}
    names = {mark + word for word in words for mark in ("", ".", "#", "[")}
    for word in DATASET.findall(script):  # in dataset.hasWords: data-has-words
        names.add("[data-" + re.sub("([A-Z])", r"-\1", word).lower())
    return names


def cut(
    sheets: Iterable[tuple[str, str]],
    names: Names | None,
    opened: Callable[[str], str],
) -> str:
    """Join stylesheets into one with only the rules that pages can need.

    Parameters
    ----------
    sheets
        Path of each stylesheet, relative to the folder where the joined one
        will lie, and its text, in the order of loading.
    names
        What occurs in the pages; None keeps every rule.
    opened
        Gives the text of an imported stylesheet, by its path.
    """
    used = None if names is None else names | BROWSER_SETS
    rules = [
        rule
        for path, text in sheets
        for rule in kept(parsed(text), used, path, opened)
    ]
    if names is not None:
        drop_unused(rules, names)
    return "".join(map(str, rules))


def parsed(text: str) -> list[Any]:
    """Rules of a stylesheet, as tinycss2 gives them."""
    return tinycss2.parse_stylesheet(
        text, skip_comments=True, skip_whitespace=True
    )


def kept(
    nodes: list[Any],
    used: Names | None,
    path: str,
    opened: Callable[[str], str],
) -> Iterator[Rule | Group | str]:
    """Yield what stays of a list of rules."""
    for node in nodes:
        if node.type == "qualified-rule":
            selectors = [
                written(selector)
                for selector in branches(node.prelude)
                if used is None or possible(selector, used)
            ]
            declarations = list(declared(node.content, path))
            if selectors and declarations:
                yield Rule(selectors, declarations)
        elif node.type == "at-rule":
            yield from kept_at_rule(node, used, path, opened)


def kept_at_rule(
    node: Any, used: Names | None, path: str, opened: Callable[[str], str]
) -> Iterator[Rule | Group | str]:
    """Yield what stays of an at-rule."""
    name = node.lower_at_keyword
    head = f"@{name} {written(node.prelude)}".strip()
    if name == "import":
        target = next(t for t in node.prelude if t.type in ("string", "url"))
        other = moved(target.value, path)
        yield from kept(parsed(opened(other)), used, other, opened)
    elif name in CONDITIONS and node.content is not None:
        inner = tinycss2.parse_rule_list(
            node.content, skip_comments=True, skip_whitespace=True
        )
        rules = list(kept(inner, used, path, opened))
        if rules:
            yield Group(head, rules)
    elif name != "charset":
        body = written(node.content or [])
        yield relocated(f"{head}{{{body}}}" if node.content else head, path)


def branches(tokens: list[Any]) -> Iterator[list[Any]]:
    """Split a list of selectors at its commas."""
    branch: list[Any] = []
    for part in tokens:
        if part == ",":
            yield branch
            branch = []
        else:
            branch.append(part)
    yield branch


def possible(selector: list[Any], used: Names) -> bool:
    """Tell if an element of the pages can be what a selector asks for."""
    before: Any = None
    for token in selector:
        if token.type == "ident" and before not in (".", ":"):
            wanted = token.lower_value
        elif token.type == "ident" and before == ".":
            wanted = f".{token.value}"
        elif token.type == "hash":
            wanted = f"#{token.value}"
        elif token.type == "[] block":
            first = next(t for t in token.content if t.type == "ident")
            wanted = f"[{first.lower_value}"
        elif token.type == "function" and token.lower_name in ANY_OF:
            if not any(possible(b, used) for b in branches(token.arguments)):
                return False
            wanted = None
        else:
            wanted = None
        if wanted is not None and wanted not in used:
            return False
        before = token
    return True


def declared(tokens: list[Any], path: str) -> Iterator[tuple[str, str]]:
    """Yield names and values; a rule inside a rule is kept whole, nameless."""
    for node in tinycss2.parse_blocks_contents(
        tokens, skip_comments=True, skip_whitespace=True
    ):
        if node.type == "declaration":
            value = relocated(written(node.value), path)
            yield node.name, value + "!important" * node.important
        elif node.type != "error":
            yield "", relocated(written([node]), path)


def written(tokens: list[Any]) -> str:
    """Write tokens without comments, with single spaces."""
    text = tinycss2.serialize([t for t in tokens if t.type != "comment"])
    return re.sub(r"\s+", " ", text).strip()


def moved(address: str, path: str) -> str:
    """Write an address in a stylesheet as seen from the joined one."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), address))


def relocated(text: str, path: str) -> str:
    """Write all addresses of other files as seen from the joined stylesheet."""
    return ADDRESS.sub(lambda found: f"url({moved(found[2], path)})", text)


def flat(rules: list[Any]) -> Iterator[Rule]:
    """Yield all rules, also those in groups."""
    for rule in rules:
        if isinstance(rule, Rule):
            yield rule
        elif isinstance(rule, Group):
            yield from flat(rule.rules)


def drop_unused(rules: list[Any], names: Names) -> None:
    """Take out custom properties and animations that nothing uses."""
    wanted = {name for name in names if name.startswith("--")}
    needs: dict[str, set[str]] = {}
    words: set[str] = set()
    for rule in flat(rules):
        for name, value in rule.declarations:
            if name.startswith("--"):
                needs.setdefault(name, set()).update(VARIABLE.findall(value))
            else:
                wanted.update(VARIABLE.findall(value))
            if name.startswith(("animation", "--")):
                words.update(WORD.findall(value))
    todo = list(wanted)
    while todo:
        new = needs.get(todo.pop(), set()) - wanted
        wanted |= new
        todo += new
    for rule in flat(rules):
        rule.declarations[:] = [
            (name, value)
            for name, value in rule.declarations
            if not name.startswith("--") or name in wanted
        ]
    remove_empty(rules, words)


def remove_empty(rules: list[Any], words: set[str]) -> None:
    """Take out rules that set nothing, and animations without a user."""
    for rule in rules:
        if isinstance(rule, Group):
            remove_empty(rule.rules, words)
    rules[:] = [
        rule
        for rule in rules
        if (isinstance(rule, Rule) and rule.declarations)
        or (isinstance(rule, Group) and rule.rules)
        or (isinstance(rule, str) and animation(rule) in {None, *words})
    ]


def animation(text: str) -> str | None:
    """Name of an animation, None for any other at-rule."""
    found = re.match(r"@(?:-\w+-)?keyframes ([\w-]+)", text)
    return found[1] if found else None
