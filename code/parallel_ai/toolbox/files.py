"""Files that are there as a whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Lend a name to write under; what lies there then gets the name `path`.

    Readers see the old file or the new one, all of it, whoever is killed
    meanwhile. The draft lies beside, where to rename it happens at once, and
    begins with a dot: PyArrow and Dask pass over it. No other writer has the
    same. It is brought to the disk first (`fsync`), for a name that survives
    a power cut must not point to nothing.

    Parameters
    ----------
    path : Path
        Its folder is made if need be. The file may be there.

    Raises
    ------
    OSError
        The disk is full, or the folder cannot be written. As after any
        error in the block, `path` is as it was and the draft is gone.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write bytes so that under the name there are all of them or none.

    Raises
    ------
    OSError
        As of `whole`.
    """
    with whole(path) as draft:
        draft.write_bytes(content)
