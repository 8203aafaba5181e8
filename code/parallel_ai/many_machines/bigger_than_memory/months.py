"""From DATASUS's address to partitioned Parquet, month by month.

Each month is a task of its own, and its file is there entirely or not at
all. So a run that was killed goes on where it was: what it finds, it skips.
"""

import ftplib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import parquet

from parallel_ai.many_machines.bigger_than_memory.compressed import (
    MonthError,
    unpack,
)
from parallel_ai.many_machines.bigger_than_memory.layouts import harmonise
from parallel_ai.toolbox.files import whole

if TYPE_CHECKING:  # a process that only reads needs no cluster
    from distributed import Client

HOME = "ftp://ftp.datasus.gov.br/dissemin/publicos/SIHSUS/200801_/Dados"
BLOCK = 1 << 16
SECONDS = 60.0  # without an answer
PATIENCE = 900.0  # seconds for one month, download included


@dataclass(frozen=True, order=True)
class Month:
    """The admissions of one state and month, the unit that is published.

    >>> Month("SP", 2008, 1).name
    'RDSP0801'
    """

    state: str
    year: int
    month: int

    @property
    def name(self) -> str:
        """Of its file, without an ending."""
        return f"RD{self.state}{self.year % 100:02}{self.month:02}"

    @property
    def address(self) -> str:
        """Of its file, at DATASUS."""
        return f"{HOME}/{self.name}.dbc"


# Gives the bytes of an address from a position on.
Transport = Callable[[str, int], Iterator[bytes]]
# Gives a month's table of text.
Read = Callable[[Month], pa.Table]


def months(state: str, first: int, last: int) -> list[Month]:
    """List all months of a state from one year to another, both included."""
    return [
        Month(state, year, month)
        for year in range(first, last + 1)
        for month in range(1, 13)
    ]


def ftp(address: str, start: int = 0) -> Iterator[bytes]:
    """Fetch a file by FTP from a position on, block by block.

    The server confirms the end, so that a cut line is an error and not the
    end of the file. That is all: FTP knows neither encryption nor checksums.
    """
    where = urlsplit(address)
    with ftplib.FTP(where.hostname or "", timeout=SECONDS) as server:  # noqa: S321
        server.login()
        server.voidcmd("TYPE I")
        with server.transfercmd(f"RETR {where.path}", start) as stream:
            while block := stream.recv(BLOCK):
                yield block
        server.voidresp()


def fetch(month: Month, folder: Path, transport: Transport = ftp) -> Path:
    """Download a month, unless it is there; go on where a cut line stopped.

    Raises
    ------
    MonthError
        The line was cut; what had arrived is kept.
    """
    path = folder / f"{month.name}.dbc"
    part = path.with_suffix(".part")
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("ab") as file:
            for block in transport(month.address, file.tell()):
                file.write(block)
    except ftplib.all_errors as error:
        raise MonthError(
            f"{month.name} did not arrive ({type(error).__name__}: {error}); "
            f"{part.stat().st_size:,} bytes are kept. Load the month again."
        ) from error
    os.replace(part, path)
    return path


def official(
    month: Month, folder: Path, transport: Transport = ftp
) -> pa.Table:
    """Read a month from its official file, which is kept in the folder.

    A file that cannot be unpacked is removed, so that the next call fetches
    it again.
    """
    path = fetch(month, folder, transport)
    try:
        return unpack(path)
    except MonthError:
        path.unlink()
        raise


def place(month: Month, folder: Path) -> Path:
    """Where a month's Parquet file belongs: a folder a year."""
    return folder / f"year={month.year}" / f"{month.name}.parquet"


def convert(
    month: Month,
    read: Read,
    folder: Path,
    columns: Sequence[str] | None = None,
) -> Path:
    """Make a month's Parquet file in the one schema, unless it is there."""
    target = place(month, folder)
    if target.exists():
        return target
    table = harmonise(read(month), columns)
    with whole(target) as draft:
        # Our dictionaries are not the reader's business: text is text.
        parquet.write_table(table, draft, store_schema=False)
    return target


def load_serial(
    wanted: Sequence[Month],
    read: Read,
    folder: Path,
    columns: Sequence[str] | None = None,
) -> list[Path]:
    """Make the Parquet files of all months, one after the other.

    Raises
    ------
    ExceptionGroup
        Of the months that failed. All others are done.
    """
    paths, errors = [], []
    for month in wanted:
        try:
            paths.append(convert(month, read, folder, columns))
        except Exception as error:  # noqa: BLE001 - first do the others
            errors.append(error)
    _complain(errors, len(wanted))
    return paths


def load_dask(
    client: "Client",
    wanted: Sequence[Month],
    read: Read,
    folder: Path,
    columns: Sequence[str] | None = None,
) -> list[Path]:
    """Make the Parquet files of all months, by the workers of a cluster.

    A month travels to the worker, a path travels back; the data go straight
    to the disk, which all workers must share. There are as many downloads at
    a time as the cluster has threads.
    """
    from distributed import wait

    futures = client.map(
        convert,
        list(wanted),
        read=read,
        folder=folder,
        columns=columns,
        pure=False,  # files may have gone meanwhile
    )
    if futures:
        wait(futures, timeout=PATIENCE * len(futures))
    failed = [future for future in futures if future.status == "error"]
    _complain([future.exception() for future in failed], len(futures))
    return client.gather(futures)


def _complain(errors: list[Exception], number: int) -> None:
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {number} months", errors)
