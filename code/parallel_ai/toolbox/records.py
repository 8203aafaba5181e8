"""Measurements of other machines, written and read, never typed.

A chapter that measures something worth comparing ends with::

    RECORDS = {"topic": function_without_arguments}

where the function is the one that the page itself calls. Then::

    python -m parallel_ai.toolbox.records            # all, or: make record
    python -m parallel_ai.toolbox.records topic ...  # some

measures on your machine and writes ``recorded/<topic>_<hardware>.json``. A
chapter may say which lines of its record are drawn: see `curves`.
"""

import argparse
import ast
import hashlib
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from parallel_ai.toolbox import machine
from parallel_ai.toolbox.files import write_whole

PACKAGE = Path(__file__).parents[1]
FOLDER = PACKAGE / "recorded"
SUM = "sha256"  # of all else in a file; records of before 2026-11-27 have none


class RecordError(ValueError):
    """A record cannot be read or written; the message names file and why."""


@dataclass(frozen=True)
class Record:
    """One measurement of one machine.

    Attributes
    ----------
    topic : str
        What was measured; a word with digits and hyphens.
    hardware : dict
        The machine, as `machine.describe` tells it.
    date : str
        Day of the measurement in UTC, ISO 8601.
    versions : dict of str to str
        Every installed package that was loaded, and its version.
    command : str
        What was run.
    commit : str
        Of this book's repository; ends in ``-dirty`` if files other than
        records had changed; empty outside a repository.
    data : any JSON
        What the measuring function returned.
    curves : dict, optional
        Lines to draw of it, as `parallel_ai.toolbox.curves` makes them.
    """

    topic: str
    hardware: dict[str, Any]
    date: str
    versions: dict[str, str]
    command: str
    commit: str
    data: Any
    curves: dict[str, Any] | None = None

    @property
    def label(self) -> str:
        """The machine in a few words, for a figure's legend."""
        return _label(self.hardware)


def write(
    topic: str,
    data: Any,
    command: str,
    folder: Path | None = None,
    drawing: Callable[[Any, dict[str, Any]], dict[str, Any]] | None = None,
) -> Path:
    """Write a record of this machine, all of it or none.

    A record of the same topic and machine is replaced.

    Parameters
    ----------
    drawing : callable, optional
        Takes data and hardware; returns the record's curves.

    Raises
    ------
    RecordError
        The topic is no plain word, or the data is not JSON; or the lines
        cannot be drawn, and then the record is written without them.
    """
    _check_topic(topic)
    hardware = dict(machine.describe())
    try:
        data = json.loads(json.dumps(data, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise RecordError(f"{topic}: data is not JSON: {error}") from error
    lines, problem = None, None
    if drawing:
        try:
            lines = drawing(data, hardware)
        except Exception as error:  # noqa: BLE001 - what was measured is kept
            problem = error
    record = Record(
        topic=topic,
        hardware=hardware,
        versions=_versions(),
        command=command,
        data=data,
        curves=lines,
        **origin(),
    )
    raw = asdict(record)
    if record.curves is None:
        del raw["curves"]
    folder = FOLDER if folder is None else Path(folder)
    path = folder / f"{topic}_{_slug(record.label)}.json"
    text = json.dumps(raw | {SUM: _sum(raw)}, indent=1, ensure_ascii=False)
    write_whole(path, f"{text}\n".encode())
    if problem:
        raise RecordError(
            f"{path} is written, but without lines to draw: {problem}"
        ) from problem
    return path


def origin() -> dict[str, str]:
    """Return the day in UTC, and the commit; see `Record`."""
    today = datetime.now(UTC).date().isoformat()
    return {"date": today, "commit": _commit()}


def read(topic: str, folder: Path | None = None) -> list[Record]:
    """All records of a topic, in the order of their file names.

    Raises
    ------
    RecordError
        A file is malformed; the message names it and the reason.
    """
    _check_topic(topic)
    folder = FOLDER if folder is None else Path(folder)
    return [parse(path) for path in sorted(folder.glob(f"{topic}_*.json"))]


def topics(package: Path = PACKAGE) -> dict[str, str]:
    """Find the module that measures each topic, without importing any."""
    return declared("RECORDS", package)


def declared(table: str, package: Path = PACKAGE) -> dict[str, str]:
    """Find the module that declares each entry of the tables of that name.

    Nothing is imported: the keys are read in the source.

    Raises
    ------
    RecordError
        Two modules declare the same entry.
    """
    found: dict[str, str] = {}
    for path in sorted(package.rglob("*.py")):
        for name in _keys(path, table):
            parts = path.relative_to(package.parent).with_suffix("").parts
            module = ".".join(parts).removesuffix(".__init__")
            if name in found:
                raise RecordError(
                    f"{name!r} stands in {found[name]} and in {module}"
                )
            found[name] = module
    return found


def _keys(path: Path, table: str) -> Iterator[str]:
    for node in ast.parse(path.read_text("utf-8"), str(path)).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Dict)
            and [ast.unparse(t) for t in node.targets] == [table]
        ):
            for key in node.value.keys:
                if isinstance(key, ast.Constant):
                    yield str(key.value)


def check(raw: Any) -> Record:
    """Take what a record's file holds.

    Raises
    ------
    RecordError
        Something is missing or of the wrong kind; the message says what.
    """
    wanted = {f.name for f in fields(Record)} - {"curves"}
    have = raw.keys() - {SUM, "curves"} if isinstance(raw, dict) else set()
    if have != wanted:
        raise RecordError(
            f"missing {sorted(wanted - have)}, unknown {sorted(have - wanted)}"
        )
    for name in ("topic", "date", "command", "commit"):
        if not isinstance(raw[name], str):
            raise RecordError(f"{name} is not a text")
    for name in ("hardware", "versions", "curves"):
        if not isinstance(raw.get(name, {}), dict):
            raise RecordError(f"{name} is not a table")
    record = Record(**{n: v for n, v in raw.items() if n != SUM})
    try:
        date.fromisoformat(record.date)
    except ValueError as error:
        raise RecordError(f"date: {error}") from error
    if not {"cpu", "cpus"} <= record.hardware.keys():
        raise RecordError("hardware lacks cpu or cpus")
    return record


def parse(path: Path) -> Record:
    """Read one record.

    Raises
    ------
    RecordError
        The file is missing or malformed; the message names it and why.
    """
    try:
        raw = json.loads(path.read_text("utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise RecordError(f"{path}: not JSON: {error}") from error
    try:
        record = check(raw)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error
    if path.name.split("_")[0] != record.topic:
        raise RecordError(f"{path}: is a record of {record.topic!r}")
    if SUM in raw and raw[SUM] != _sum(raw):
        raise RecordError(f"{path}: was changed: its {SUM} is of other text")
    return record


def _sum(raw: dict[str, Any]) -> str:
    """Digest of a record, however its file is laid out."""
    rest = {name: value for name, value in raw.items() if name != SUM}
    return hashlib.sha256(
        json.dumps(rest, sort_keys=True).encode()
    ).hexdigest()


def _check_topic(topic: str) -> None:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", topic):
        raise RecordError(
            f"topic {topic!r}: use lower-case words joined by hyphens"
        )


def _label(hardware: dict[str, Any]) -> str:
    count = hardware["cpus"]
    return f"{hardware['cpu']}, {count} CPU{'s' * (count != 1)}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _versions() -> dict[str, str]:
    found = {
        distribution.name: distribution.version
        for distribution in metadata.distributions()
        if distribution.name
        and distribution.name.lower().replace("-", "_") in sys.modules
    }
    return dict(sorted(found.items()))


def _commit() -> str:
    """Of the repository that this very file belongs to, if there is one."""
    if not _git("ls-files", "--error-unmatch", Path(__file__).name):
        return ""
    changed = _git("diff", "--name-only", "HEAD").splitlines()
    dirty = any(Path(name).parent.name != FOLDER.name for name in changed)
    return _git("rev-parse", "--short", "HEAD") + "-dirty" * dirty


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def main(arguments: list[str] | None = None) -> int:
    """Measure and write the topics named, or all of them."""
    from tqdm import tqdm

    known = topics()
    parser = argparse.ArgumentParser(
        prog="python -m parallel_ai.toolbox.records",
        description="Measure on this machine and write records.",
    )
    parser.add_argument(
        "topics", nargs="*", metavar="topic", help=", ".join(known) or "none"
    )
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="where to write"
    )
    wanted = parser.parse_args(arguments)
    if unknown := sorted(set(wanted.topics) - known.keys()):
        parser.error(f"unknown: {unknown}; there are {sorted(known)}")
    failed = 0
    for topic in (bar := tqdm(wanted.topics or list(known), unit="record")):
        bar.set_description(topic)
        try:
            module = importlib.import_module(known[topic])
            path = write(
                topic,
                module.RECORDS[topic](),
                f"python -m parallel_ai.toolbox.records {topic}",
                wanted.folder,
                getattr(module, "CURVES", {}).get(topic),
            )
            tqdm.write(str(path))
        except Exception as error:  # noqa: BLE001 - go on with the others
            failed += 1
            tqdm.write(f"{topic}: {type(error).__name__}: {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
