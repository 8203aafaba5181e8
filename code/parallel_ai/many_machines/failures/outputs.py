"""Output that may be written twice: ways in which that shows, or does not."""

import gzip
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from distributed import Client

Moment = Callable[[], None]


def die_once(marker: str | Path) -> None:
    """Kill this process: the first one that comes here, and no other."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), 9)


def count_flights(path: str) -> int:
    """Rows of a compressed CSV file, without its header."""
    with gzip.open(path, "rb") as file:
        return sum(1 for _ in file) - 1


def append_row(file: Path, key: str, number: int) -> None:
    """Add a line to a file that all tasks share."""
    with open(file, "a", encoding="utf8") as stream:
        stream.write(f"{key},{number}\n")


def add_to_total(database: Path, key: str, number: int) -> None:
    """Add to a sum in a database: ``total += number``."""
    with closing(sqlite3.connect(database, timeout=60)) as base, base:
        base.execute("UPDATE total SET flights = flights + ?", (number,))


def save_if_absent(file: Path, content: bytes, moment: Moment) -> None:
    """Write a file, unless it is there: then it has been done before."""
    if file.exists():
        return
    with open(file, "wb") as stream:
        stream.write(content[: len(content) // 2])
        stream.flush()
        moment()  # a worker may die at any moment: say, here
        stream.write(content[len(content) // 2 :])


def put_row(database: Path, key: str, number: int) -> None:
    """Set the row of a key: a second time it is the same row."""
    with closing(sqlite3.connect(database, timeout=60)) as base, base:
        base.execute(
            "INSERT INTO flights VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET number = excluded.number",
            (key, number),
        )


def save_whole(
    file: Path, content: bytes, moment: Moment | None = None
) -> None:
    """Write a file so that under its name there is all of it or nothing.

    It is written under a name that nobody else uses, forced to the disk,
    and renamed, which on one disk happens at once or not at all.
    """
    draft = file.with_name(f".{file.name}.{uuid4().hex}")
    with open(draft, "wb") as stream:
        stream.write(content[: len(content) // 2])
        stream.flush()
        if moment is not None:
            moment()
        stream.write(content[len(content) // 2 :])
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, file)


def publish_carelessly(
    path: str, key: str, folder: Path, moment: Moment
) -> None:
    """Count a month's flights and write that in three careless ways."""
    number = count_flights(path)
    append_row(folder / "rows.csv", key, number)
    add_to_total(folder / "base.sqlite", key, number)
    save_if_absent(folder / f"{key}.txt", f"{number}\n".encode(), moment)


def publish_carefully(
    path: str, key: str, folder: Path, moment: Moment
) -> None:
    """Do it in ways that may be done twice, or half, and again."""
    number = count_flights(path)
    put_row(folder / "base.sqlite", key, number)
    save_whole(folder / f"{key}.txt", f"{number}\n".encode(), moment)


def _publish(publish, path, key, folder, victim):  # type: ignore[no-untyped-def]
    """Run in a worker; one month's worker dies in the middle, once."""

    def moment() -> None:
        if key == victim:
            die_once(folder / "died")

    publish(path, key, folder, moment)


def published(
    client: Client,
    publish: Callable[[str, str, Path, Moment], None],
    paths: list[str],
    folder: Path,
    victim: str | None = "month-05",
) -> dict[str, int]:
    """Let each task publish its month, while one worker dies, and add up.

    Returns
    -------
    dict
        Flights of the year as each of the ways tells them afterwards.
    """
    with closing(sqlite3.connect(folder / "base.sqlite")) as base, base:
        base.execute("CREATE TABLE total (flights INTEGER)")
        base.execute("INSERT INTO total VALUES (0)")
        base.execute("CREATE TABLE flights (key TEXT PRIMARY KEY, number)")
    keys = [f"month-{number:02}" for number in range(1, len(paths) + 1)]
    client.gather(
        [
            client.submit(
                _publish, publish, path, key, folder, victim, pure=False
            )
            for key, path in zip(keys, paths, strict=True)
        ]
    )
    return _told(folder)


def _told(folder: Path) -> dict[str, int]:
    """Flights of the year by everything that was written."""
    found = {}
    rows = folder / "rows.csv"
    with closing(sqlite3.connect(folder / "base.sqlite")) as base:
        (total,) = base.execute("SELECT flights FROM total").fetchone()
        (put,) = base.execute("SELECT sum(number) FROM flights").fetchone()
    if rows.exists():
        lines = rows.read_text().splitlines()
        found["lines appended to one file"] = sum(
            int(line.partition(",")[2]) for line in lines
        )
        found["a sum in a database"] = total
    if put is not None:
        found["a row for each key"] = put
    found["a file for each key"] = sum(
        int(file.read_text() or 0) for file in folder.glob("month-??.txt")
    )
    return found
