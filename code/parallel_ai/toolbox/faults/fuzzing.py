"""Any input for what reads from outside: a result, or the error it declares."""

import gzip
import hashlib
import importlib
import json
import random
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any
from unittest.mock import patch

import yaml

from parallel_ai.toolbox import (
    benches,
    builds,
    datasets,
    downloads,
    formats,
    records,
)
from parallel_ai.toolbox.faults import (
    Inject,
    Outcome,
    UnavailableError,
    asked,
    harmed,
)
from parallel_ai.toolbox.faults.reading import SAMPLE

EXTENSIONS = builds.ROOT / "book/_ext"


@dataclass(frozen=True)
class Reader:
    """Something that reads from outside.

    Attributes
    ----------
    read : callable
        Of one input.
    inputs : hypothesis strategy
    declared : tuple of exception types
        What it may raise, with a message.
    """

    read: Callable[[Any], Any]
    inputs: Any
    declared: tuple[type[Exception], ...]


def fuzzed(
    times: int, seed: int, make: Callable[[], Reader]
) -> Iterator[Outcome]:
    """Draw inputs and give each to a reader."""
    import hypothesis

    reader = make()
    found: list[Outcome] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=times,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(reader.inputs)
    def once(given: Any) -> None:
        what = f"input {given!r}"[:200]
        call = partial(reader.read, given)
        found.append(asked(what, call, lambda _: True, reader.declared))

    once()
    yield from found


# ------------------------------------------------------------------ inputs


def any_json() -> Any:
    """Whatever JSON can hold, also numbers that are none."""
    from hypothesis import strategies as st

    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.just(10**400)  # more than a float can hold
        | st.floats()
        | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        ),
        max_leaves=12,
    )


def nearly(good: dict[str, Any]) -> Any:
    """Return a table of which some entries are others, or missing."""
    from hypothesis import strategies as st

    return st.builds(
        lambda change, gone: {
            key: value
            for key, value in (good | change).items()
            if key not in gone
        },
        st.dictionaries(
            st.sampled_from(sorted(good)) | st.text(), any_json(), max_size=3
        ),
        st.sets(st.sampled_from(sorted(good)), max_size=1),
    )


def spoilt(good: bytes) -> Any:
    """Return a file's bytes, damaged somewhere, or any bytes."""
    from hypothesis import strategies as st

    return st.binary(max_size=200) | st.builds(
        lambda how, seed: harmed(good, how, random.Random(seed)),  # noqa: S311
        st.sampled_from(["cut", "flipped", "flipped", "flipped"]),
        st.integers(0, 2**32),
    )


@cache
def extension(name: str) -> ModuleType:
    """Import one of the book's extensions, which are no package.

    Raises
    ------
    UnavailableError
        There is no checkout of the repository.
    """
    if not EXTENSIONS.is_dir():
        raise UnavailableError("there is no checkout of the repository")
    sys.path.insert(0, str(EXTENSIONS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(EXTENSIONS))


# ----------------------------------------------------------------- readers


def of_records() -> Reader:
    """`records.parse`, of a file with any content."""
    with TemporaryDirectory() as folder:
        path = records.write("faults", SAMPLE, "make faults", Path(folder))
        good = path.read_bytes()
    read = partial(_from_file, records.parse, "faults_here.json")
    return Reader(read, spoilt(good), (records.RecordError,))


def of_checks() -> Reader:
    """`records.check`, of any JSON."""
    with TemporaryDirectory() as folder:
        path = records.write("faults", SAMPLE, "make faults", Path(folder))
        good = json.loads(path.read_text("utf8"))
    return Reader(
        records.check, any_json() | nearly(good), (records.RecordError,)
    )


def of_benches() -> Reader:
    """`benches.from_json` of any JSON."""
    from hypothesis import strategies as st

    way = {"name": "ours", "seconds": [1.0, 2.0], "limit": False}
    inputs = st.dictionaries(
        st.text(max_size=3),
        any_json()
        | st.fixed_dictionaries({"ways": any_json() | st.lists(nearly(way))}),
        max_size=3,
    )

    def read(data: Any) -> list[benches.Ratio]:
        return list(benches.ratios(benches.from_json(data)))

    return Reader(read, any_json() | inputs, (records.RecordError,))


def of_idx() -> Reader:
    """`formats.read_idx`, of a file with any content."""
    from hypothesis import strategies as st

    plain = b"\0\0\x08\x02" + struct.pack(">2I", 3, 4) + bytes(range(12))
    inputs = spoilt(gzip.compress(plain, mtime=0)) | st.builds(
        gzip.compress, spoilt(plain)
    )
    read = partial(_from_file, formats.read_idx, "t10k-images.gz")
    return Reader(read, inputs, (datasets.DatasetError,))


def of_downloads() -> Reader:
    """`downloads.fetch` of any address, checksum and content."""
    import pooch
    from hypothesis import strategies as st

    def read(given: tuple[str, str, bytes]) -> None:
        url, checksum, content = given

        def downloader(url: str, file: str, _: Any) -> None:
            downloads.ResumingDownloader()._allow(url)
            downloads.partial_file(Path(file).parent, url)
            Path(file).write_bytes(content)

        with (
            TemporaryDirectory() as folder,
            patch.object(downloads, "RETRIES", 0),
            patch.object(pooch.get_logger(), "disabled", True),
        ):
            path = Path(folder, "file.bin")
            downloads.fetch(path, url, checksum, downloader=downloader)

    text = st.text(max_size=20)
    urls = text | st.builds(
        str.__add__,
        st.sampled_from(["https://", "http://", "file:", "//"]),
        text,
    )
    sums = text | st.sampled_from(["md5:0", "sha256:", "md5:", "sha9:1", ""])
    right = st.builds(
        lambda url, content: (
            url,
            hashlib.sha256(content).hexdigest(),
            content,
        ),
        urls,
        st.binary(max_size=9),
    )
    inputs = right | st.tuples(urls, sums, st.binary(max_size=9))
    return Reader(read, inputs, (downloads.DatasetError,))


def of_quizzes() -> Reader:
    """Read the source of a ``{quiz}``."""
    from hypothesis import strategies as st

    quiz = extension("quiz")

    def read(text: str) -> list[str]:
        return [
            quiz.kind(one) + quiz.markdown(one, number)
            for number, one in enumerate(quiz.read(text), 1)
        ]

    marks = st.text("-:{}[]!&*|>'\"#%@`?, \n0123456789abxe_.~=<", max_size=40)
    question = {
        "question": "?", "kind": "choice", "options": [
            {"text": 2, "correct": True}, {"text": 3, "why": "Odd."},
        ],
    }  # fmt: skip
    tagged = st.builds(
        "- question: {}{}".format,
        st.sampled_from(["", "!!int ", "!!timestamp ", "!!float ", "!!bool "]),
        marks,
    )
    written = st.lists(nearly(question) | any_json(), max_size=2).map(
        partial(yaml.safe_dump, allow_unicode=True)
    )
    good = yaml.safe_dump([question]).encode()
    cut = spoilt(good).map(lambda data: data.decode("utf8", "replace"))
    return Reader(read, marks | tagged | written | cut, (quiz.Malformed,))


def of_figures() -> Reader:
    """Read the ``:inputs:`` of an ``{explore}``, as far as the scene."""
    from hypothesis import strategies as st

    explore, scenes = extension("explore"), extension("scenes")

    def read(given: tuple[str, str]) -> Any:
        figure = scenes.FIGURES[given[0]]
        return figure.scene(**figure.values(explore.given(given[1])))

    def texts(name: str) -> Any:
        inputs = scenes.FIGURES[name].inputs
        value = st.text(max_size=8) | st.sampled_from(
            ["nan", "inf", "-inf", "1e999", "-1", "0", "1e-300", "1e15", "²"]
            + [str(option) for one in inputs for option in one.options]
            + [str(one.least) for one in inputs]
            + [str(one.start) for one in inputs]
        )
        key = st.sampled_from([one.name for one in inputs]) | st.text(
            max_size=3
        )
        pair = st.builds("{} = {}".format, key, value) | st.text(max_size=5)
        return st.tuples(
            st.just(name), st.lists(pair, max_size=3).map(", ".join)
        )

    inputs = st.sampled_from(sorted(scenes.FIGURES)).flatmap(texts)
    return Reader(read, inputs, (ValueError,))


def _from_file(read: Callable[[Path], Any], name: str, content: bytes) -> Any:
    """Give a reader a file with such content."""
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        return read(path)


def _kind(make: Callable[[], Reader]) -> Inject:
    return partial(fuzzed, make=make)


KINDS: dict[str, tuple[Inject, int]] = {
    "any file as a record": (_kind(of_records), 500),
    "any JSON as a record": (_kind(of_checks), 500),
    "any JSON as comparisons": (_kind(of_benches), 500),
    "any file as images": (_kind(of_idx), 500),
    "any address, checksum and content": (_kind(of_downloads), 300),
    "any source of a quiz": (_kind(of_quizzes), 1000),
    "any inputs of a figure": (_kind(of_figures), 200),
}
