"""What a page's outputs depend on, as one digest.

The stock cache of Jupyter Book keys a page by its code cells alone, so a
module that the cells import can change while the page keeps showing what the
old module printed.  A `Reader` finds everything that can change the outputs:
the cells, the source of each module of the book's package that they reach,
what the front matter names under ``depends:``, rows of the dataset table and
records, and the versions of the libraries.  Nothing is imported or executed.

The hardware is left out on purpose: a cache may be carried to another machine
and the foot of each page names the machine that executed it.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grimp
from packaging.requirements import Requirement


class UnknownDependency(Exception):
    """``depends:`` names something that is neither module, file nor data."""


class Reader:
    """Finds what pages depend on.

    Parameters
    ----------
    package
        Name of the package whose modules the pages import.
    settings
        Execution settings, part of every fingerprint.
    """

    def __init__(
        self, package: str, settings: dict[str, Any] | None = None
    ) -> None:
        self.package = package
        self.settings = settings or {}
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(
                f"the package {package!r} is not installed: run `pip install -e .`"
            )
        self.root = Path(spec.origin).parent
        self.graph = grimp.build_graph(
            package, include_external_packages=True, cache_dir=None
        )

    def read(
        self,
        cells: Iterable[tuple[str, Any]],
        depends: Iterable[str],
        folder: Path,
    ) -> dict[str, Any]:
        """List everything that the outputs of a page depend on.

        Parameters
        ----------
        cells
            Source and tags of each code cell.
        depends
            The names under ``depends:`` in the page's front matter.
        folder
            Folder of the page, from which file names under ``depends:`` count.

        Returns
        -------
        dict
            JSON-able; `digest` turns it into the fingerprint.
        """
        cells = list(cells)
        importing = [source for source, _ in cells if "import" in source]
        names = {n for source in importing for n in imported(parse(source))}
        names |= {n for source, _ in cells for n in self._mentioned(source)}
        files, found = self._declared(depends, folder)
        modules = self._closure(names | found)
        found |= {n for source, _ in cells for n in self._quoted(source)}
        for module in modules:
            found |= self._quoted_in(module)
        external = {n.partition(".")[0] for n in names if not self._ours(n)}
        external |= {n for m in modules for n in self._external(m)}
        return {
            "cells": cells,
            "modules": {name: self._source(name) for name in sorted(modules)},
            "files": files,
            "data": {
                name: value
                for name, value in self.named_inputs.items()
                if name in found
            },
            "imports": sorted(provided(external)),
            "versions": versions(provided(external)),
            "python": list(sys.version_info[:2]),
            "settings": self.settings,
        }

    @cached_property
    def named_inputs(self) -> dict[str, str]:
        """Digest of each dataset row and of each record topic, by its name."""
        inputs = {}
        table = self.root / "toolbox" / "datasets.toml"
        if table.exists():
            rows = tomllib.loads(table.read_text(encoding="utf8"))
            offline = "PARALLEL_AI_DATA" in os.environ  # may hold stand-ins
            inputs = {
                name: digest([row, "stand_in" in row and offline])
                for name, row in rows.items()
            }
        for record in sorted((self.root / "recorded").glob("*_*.json")):
            topic = record.stem.rpartition("_")[0]
            inputs[topic] = digest(
                [inputs.get(topic), record.name, text_of(record)]
            )
        return inputs

    def _ours(self, name: str) -> bool:
        return name == self.package or name.startswith(self.package + ".")

    def _mentioned(self, source: str) -> set[str]:
        """Modules that a cell names in a command, as in ``python -m package.x``."""
        found = re.findall(rf"\b{self.package}(?:\.\w+)+", source)
        return {name for name in found if self._module(name)}

    def _module(self, name: str) -> str | None:
        """Name of the module that defines a dotted name, if it is ours."""
        while self._ours(name):
            if name in self.graph.modules:
                return name
            name = name.rpartition(".")[0]
        return None

    def _closure(self, names: set[str]) -> set[str]:
        modules = {m for name in names if (m := self._module(name))}
        modules |= {
            up for m in modules for up in self.graph.find_upstream_modules(m)
        }
        modules = {m for m in modules if self._ours(m)}
        return modules | {p for m in modules for p in parents(m)}

    def _declared(
        self, depends: Iterable[str], folder: Path
    ) -> tuple[dict[str, str], set[str]]:
        files, names = {}, set()
        for name in depends:
            path = next(
                (p for p in (folder / name, self.root / name) if p.is_file()),
                None,
            )
            if path:
                files[name] = text_of(path)
            elif name in self.graph.modules or name in self.named_inputs:
                names.add(name)
            else:
                raise UnknownDependency(
                    f"depends: {name!r} is no module of {self.package}, no file beside"
                    " the page or in the package, no dataset and no record"
                )
        return files, names

    def _path(self, module: str) -> Path:
        path = self.root.parent.joinpath(*module.split("."))
        return (
            path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        )

    @cache  # noqa: B019 - one reader per build
    def _source(self, module: str) -> str:
        return text_of(self._path(module))

    @cache  # noqa: B019
    def _quoted_in(self, module: str) -> set[str]:
        return self._quoted(self._path(module).read_text(encoding="utf8"))

    def _quoted(self, source: str) -> set[str]:
        """Datasets and records that a source names in quotation marks."""
        return {
            name
            for name in self.named_inputs
            if f'"{name}"' in source or f"'{name}'" in source
        }

    def _external(self, module: str) -> set[str]:
        imports = self.graph.find_modules_directly_imported_by(module)
        return {name for name in imports if not self._ours(name)}


def digest(value: Any) -> str:
    """SHA-256 of a JSON-able value, 64 hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf8", "surrogatepass")).hexdigest()


def text_of(path: Path) -> str:
    """SHA-256 of a file with its line ends as on Linux (git may change them)."""
    return hashlib.sha256(
        path.read_bytes().replace(b"\r\n", b"\n")
    ).hexdigest()


def parse(source: str) -> ast.Module:
    """Syntax tree of a cell; IPython's magics and ``!commands`` are allowed."""
    try:
        return ast.parse(source)
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager

        try:
            return ast.parse(TransformerManager().transform_cell(source))
        except (
            SyntaxError
        ):  # shown failing on purpose, or reported on execution
            return ast.parse("")


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything that a syntax tree imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif (
            isinstance(node, ast.ImportFrom) and node.module and not node.level
        ):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parents(module: str) -> Iterator[str]:
    """List the packages that importing a module executes before it."""
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


@cache
def distributions() -> dict[str, list[metadata.Distribution]]:
    """Installed distributions by the name of the package that they provide.

    As `importlib.metadata.packages_distributions`, which looks whether each
    of many thousand files exists and reads what all of them say of
    themselves; a build has no time for that.
    """
    found: dict[str, list[metadata.Distribution]] = {}
    for one in metadata.distributions():
        names = (one.read_text("top_level.txt") or "").split()
        if not names:
            record = csv.reader((one.read_text("RECORD") or "").splitlines())
            tops = {row[0].partition("/")[0] for row in record if row}
            names = [
                top.partition(".")[0] for top in tops if ".dist" not in top
            ]
        for name in set(names):
            found.setdefault(name, []).append(one)
    return found


@cache
def installed(name: str) -> tuple[str, tuple[Requirement, ...]]:
    """Version of a distribution and its requirements ("" if not installed)."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return "", ()
    return found.version, tuple(map(Requirement, found.requires or ()))


def provided(packages: Iterable[str]) -> set[str]:
    """Distributions, outside the standard library, that provide packages."""
    outside = set(packages) - sys.stdlib_module_names
    return {name for package in outside for name in providers(package)}


@cache
def providers(package: str) -> set[str]:
    """Distributions that provide a package; its own name, if none does."""
    those = distributions().get(package, [])
    return {one.metadata["Name"] for one in those} or {package}


@cache
def needed(name: str, extras: frozenset[str]) -> set[tuple[str, frozenset]]:
    """Distributions, with extras, that one with those extras needs directly."""
    chosen = [{"extra": extra} for extra in ("", *extras)]
    return {
        (requirement.name, frozenset(requirement.extras))
        for requirement in installed(name)[1]
        if requirement.marker is None
        or any(map(requirement.marker.evaluate, chosen))
    }


def versions(names: Iterable[str]) -> dict[str, str]:
    """Versions of distributions and of all that they need, as installed."""
    todo = [(name, frozenset[str]()) for name in names]
    seen, result = set(todo), {}
    while todo:
        name, extras = todo.pop()
        if version := installed(name)[0]:
            result[name.lower().replace("_", "-")] = version
        new = needed(name, extras) - seen
        seen |= new
        todo.extend(new)
    return result
