"""DATASUS's .dbc files: a table in dBase's format, its records compressed.

``datasus-dbc`` unpacks them, ``dbfread`` reads the header. The records have
fixed widths, so that a column is a slice of a matrix of characters; reading
them one by one in Python would take a hundred times as long.
"""

import struct
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from parallel_ai.many_machines.bigger_than_memory.layouts import Field

if TYPE_CHECKING:
    from dbfread import DBF

ENCODING = "latin-1"
DELETED = b"*"
HEAD = 32  # bytes of dBase's header, and of each description of a field


class MonthError(ValueError):
    """A month cannot be read; the message names its file and what to do."""


def unpack(path: Path) -> pa.Table:
    """Read a .dbc file: every field as text, padded as it is.

    Raises
    ------
    MonthError
        The file is cut off, or is something else.
    """
    import datasus_dbc

    packed = path.read_bytes()
    try:
        plain = datasus_dbc.decompress_bytes(packed)
    except BaseException as error:
        # A panic in Rust is no Exception; its class cannot be imported.
        panic = type(error).__name__ == "PanicException"
        if not panic and not isinstance(error, ValueError):
            raise
        raise MonthError(
            f"{path.name} is truncated or damaged ({error}; it has "
            f"{len(packed):,} bytes). Delete it and load the month again."
        ) from error
    described = _described(path.name, plain)
    head = described.header
    rows, width = head.numrecords, head.recordlen
    if len(plain) < head.headerlen + rows * width:
        raise MonthError(
            f"{path.name} has {len(plain):,} bytes unpacked, too few for "
            f"{rows:,} records of {width}. Delete it and load the month again."
        )
    records = np.frombuffer(
        plain, np.uint8, rows * width, head.headerlen
    ).reshape(rows, width)
    records = records[records[:, 0] != ord(DELETED)]
    columns, start = {}, 1
    for field in described.fields:
        part = records[:, start : start + field.length]
        columns[field.name] = _text(part)
        start += field.length
    return pa.table(columns)


def _described(name: str, plain: bytes) -> "DBF":
    """Read what the head of a table says of its fields."""
    from dbfread import DBF

    try:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "month.dbf")
            copy.write_bytes(plain[: struct.unpack_from("<H", plain, 8)[0]])
            found = DBF(copy, encoding=ENCODING)
        width = 1 + sum(field.length for field in found.fields)
        if width != found.header.recordlen or 0 in _widths(found):
            raise ValueError(f"fields of {width} bytes")
    except (OSError, TypeError, ValueError, struct.error) as error:
        raise MonthError(
            f"{name} is damaged: its head describes no table ({error}). "
            "Delete it and load the month again."
        ) from error
    return found


def _widths(described: "DBF") -> list[int]:
    """Bytes of each field; none of two that share a name."""
    widths = {field.name: field.length for field in described.fields}
    if len(widths) < len(described.fields):
        raise ValueError("two fields have one name")
    return list(widths.values())


def pack(text: pa.Table, layout: Sequence[Field], year: int) -> bytes:
    """Write a table as a .dbc file of that year's layout.

    Only for trying out: DATASUS compresses, we store each byte as it is, in
    the same format, which takes nine bits for eight.

    Parameters
    ----------
    text : pyarrow.Table
        A column of text for each field of the layout.
    """
    widths = [field.width_in(year) for field in layout]
    start = HEAD * (1 + len(layout)) + 1
    record = 1 + sum(widths)
    head = struct.pack(
        "<BBBBIHH20x", 3, year - 1900, 1, 1, text.num_rows, start, record
    )
    for field, width in zip(layout, widths, strict=True):
        kind = "N" if field.kind == "N" else "C"
        head += struct.pack(
            "<11sc4xBB14x",
            field.name.encode(ENCODING),
            kind.encode(),
            width,
            field.decimals,
        )
    lines = [np.full((text.num_rows, 1), ord(" "), np.uint8)]
    for field, width in zip(layout, widths, strict=True):
        cells = [
            str(cell or "").encode(ENCODING)[:width].ljust(width)
            for cell in text[field.name].to_pylist()
        ]
        lines.append(
            np.frombuffer(b"".join(cells), np.uint8).reshape(-1, width)
        )
    body = np.concatenate(lines, axis=1).tobytes()
    checksum = struct.pack("<I", zlib.crc32(body))
    return head + b"\r" + checksum + _stored(body)


def _text(characters: np.ndarray) -> pa.Array:
    """Make texts of a matrix of characters, one a row."""
    rows, width = characters.shape
    if (characters > 127).any():  # few fields hold letters with accents
        cells = np.ascontiguousarray(characters).view(f"S{width}").ravel()
        return pa.array([cell.decode(ENCODING) for cell in cells.tolist()])
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(
        rows,
        pa.py_buffer(offsets),
        pa.py_buffer(np.ascontiguousarray(characters)),
    )


def _stored(body: bytes) -> bytes:
    """Write bytes as a stream of PKWARE's *implode* without any compression.

    Two bytes say: literals are not coded, the window has 4 KiB. Then come
    bits, the lowest of each byte first: 0 and eight bits for a literal, and
    for the end a 1, seven 0 and eight 1.
    """
    raw = np.frombuffer(body, np.uint8)
    bits = np.unpackbits(raw[:, None], axis=1, bitorder="little")
    literals = np.concatenate(
        [np.zeros((len(raw), 1), np.uint8), bits], axis=1
    )
    end = [1, *[0] * 7, *[1] * 8]
    stream = np.concatenate([literals.ravel(), np.array(end, np.uint8)])
    return bytes([0, 6]) + np.packbits(stream, bitorder="little").tobytes()
