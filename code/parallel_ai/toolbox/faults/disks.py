"""Faults of the disk under a build: full, a quota, files of the cache damaged."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from parallel_ai.toolbox.faults import (
    Inject,
    Outcome,
    UnavailableError,
    harmed,
    outcome,
)
from parallel_ai.toolbox.faults.trials import (
    Said,
    Trial,
    failed,
    other,
    page_of,
    trial,
)

ROOM_SAID = (
    "No space left",
    "File too large",
    "disk is full",
    "disk I/O error",
)
LEAST = 16  # blocks of 512 bytes: what a build says is a file, too
FULL = """
mount -t tmpfs -o "size=$1" tmpfs _build
shift
code=0; "$@" > full 2>&1 || code=$?
echo $code > full.code; cp "$RAN" full.ran; : > "$RAN"
mount -o remount,size=1g _build
code=0; "$@" > room 2>&1 || code=$?
echo $code > room.code; cp "$RAN" room.ran
cp -r _build/html shown
"""


def full(times: int, seed: int, pages: int = 2) -> Iterator[Outcome]:
    """Build in a file system that is too small, then make room.

    Raises
    ------
    UnavailableError
        A namespace may have no mounts here.
    """
    chance = random.Random(seed)  # noqa: S311
    with trial(pages) as one:
        _allowed(one.folder)
        one.undisturbed()
        expected, size = one.pages(), _blocks(one.built)
        for _ in range(times):
            room = int(size * chance.uniform(0.02, 0.95))
            one.restore()
            one.built.mkdir()
            one.ran.write_text("")
            shutil.rmtree(one.root / "shown", ignore_errors=True)
            before = ("unshare", "-Urm", "sh", "-ec", FULL, "sh", str(room))
            whole = one.said(one.start(*before))
            if whole.code:
                raise UnavailableError(f"no such mounts: {whole.text}")
            first, again = (_kept(one.root, name) for name in ("full", "room"))
            yield _roomless(
                one, f"room for {room:,} bytes", first, again, expected
            )


def _allowed(folder: Path) -> None:
    """See whether a user may mount something in a namespace of their own."""
    command = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    if shutil.which("unshare") is None:
        raise UnavailableError("there is no unshare")
    tried = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    if tried.returncode:
        raise UnavailableError("no mounts in a namespace are allowed")


def _blocks(folder: Path) -> int:
    """Bytes that a folder takes in memory, in pages of it."""
    sizes = [p.lstat().st_size for p in folder.rglob("*")]
    return sum(-(-size // 4096) * 4096 for size in sizes)


def _kept(root: Path, name: str) -> Said:
    code, ran = (
        (root / f"{name}.{end}").read_text() for end in ("code", "ran")
    )
    return Said(int(code), (root / name).read_text("utf8"), ran.split())


def _roomless(
    one: Trial, what: str, first: Said, again: Said, expected: dict[str, str]
) -> Outcome:
    """Judge a build without room, and the next one, which had some."""
    folder = one.root / "shown"
    repeated = first.stored & set(again.ran)
    told = first.code != 0 and any(word in first.text for word in ROOM_SAID)
    problems = [
        not told and f"it said: …{first.text[-500:]}",
        failed(again),
        again.code == 0
        and other(one.pages(folder if folder.exists() else None), expected),
        f"executed again: {sorted(repeated)}" if repeated else "",
    ]
    survived = not any(problems[1:])
    return outcome(what, told, survived, problems)


def limited(times: int, seed: int, pages: int = 2) -> Iterator[Outcome]:
    """Build where no file may have more than so many bytes (a quota)."""
    chance = random.Random(seed)  # noqa: S311
    with trial(pages) as one:
        one.undisturbed()
        expected = one.pages()
        # The table of contents of the cache is no smaller; what is written
        # of libraries is larger than all.
        most = (one.built / ".jupyter_cache/global.db").stat().st_size // 512
        for _ in range(times):
            blocks = chance.randrange(LEAST, most)
            one.restore()
            before = ("sh", "-c", 'ulimit -f "$0"; exec "$@"', str(blocks))
            first = one.build(*before)
            again = one.build()
            what = f"no file over {512 * blocks:,} bytes"
            yield _roomless(one, what, first, again, expected)


HARMS = (
    (".jupyter_cache/executed/*/base.ipynb", "cut"),
    (".jupyter_cache/global.db", "flipped"),
    ("read.json", "flipped"),
    (".jupyter_cache/executed/*/base.ipynb", "flipped"),
    (".jupyter_cache/global.db", "garbage"),
    ("read.json", "cut"),
    (".jupyter_cache/global.db", "cut"),
    (".jupyter_cache/executed/*/base.ipynb", "garbage"),
)


def damaged(times: int, seed: int, pages: int = 2) -> Iterator[Outcome]:
    """Damage a file of the cache; no page may show what came of it.

    All pages are rendered anew from the cache, to see what it gives.
    """
    chance = random.Random(seed)  # noqa: S311
    with trial(pages) as one:
        one.undisturbed()
        expected = one.pages()
        for name in ("html", ".doctrees"):
            shutil.rmtree(one.built / name)
        one.undisturbed()
        exact = one.pages(ran=())
        one.keep("good")
        for number in range(times):
            pattern, how = HARMS[number % len(HARMS)]
            one.restore("good")
            for name in ("html", ".doctrees"):
                shutil.rmtree(one.built / name)
            path = chance.choice(sorted(one.built.glob(pattern)))
            path.write_bytes(harmed(path.read_bytes(), how, chance))
            done = one.build()
            right = expected | {
                name: digest
                for name, digest in exact.items()
                if page_of(name) not in done.ran
            }
            problems = [
                failed(done),
                done.code == 0 and other(one.pages(ran=done.ran), right),
                done.code == 0 and one.unsound(),
            ]
            yield outcome(
                f"{path.name} {how}",
                "damaged" in done.text,
                not any(problems),
                problems,
            )


KINDS: dict[str, tuple[Inject, int]] = {
    "disk full during a build": (full, 6),
    "files limited in size during a build": (limited, 4),
    "cache file damaged": (damaged, 16),
}
