"""What may come in: a body within its limits, numbers that are pixels."""

import json
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from parallel_ai.production.serving.packed import PIXELS

JSON, BYTES = "application/json", "application/octet-stream"


@dataclass(frozen=True)
class Limits:
    """What a single client may ask of the service.

    Attributes
    ----------
    body : int
        Bytes of a body.
    rows : int
        Pictures in a request.
    head_seconds, body_seconds, idle_seconds : float
        From the connection to the end of the first request's head; from
        there to the end of the body; between two requests.
    connections : int
        Open at the same time, for each worker.
    """

    body: int = 512 * 1024
    rows: int = 64
    head_seconds: float = 5.0
    body_seconds: float = 5.0
    idle_seconds: float = 15.0
    connections: int = 1000


class RefusedError(ValueError):
    """The service will not do it: status of HTTP, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def pixels_from(kind: str, body: bytes, limits: Limits) -> np.ndarray:
    """Turn a body into pictures, or say what is wrong with it.

    Parameters
    ----------
    kind : str
        Its media type: JSON ``{"pixels": [[0, …], …]}``, or plain bytes,
        784 a picture.

    Returns
    -------
    array of uint8, (n, 784)
        n is at least 1.

    Raises
    ------
    RefusedError
        400 for what is no JSON, 415 for another media type, 422 for JSON
        that means nothing here.
    """
    if kind == BYTES:
        if len(body) % PIXELS:
            raise RefusedError(422, f"{len(body)} bytes: not 784 a picture")
        return counted(np.frombuffer(body, "u1").reshape(-1, PIXELS), limits)
    if kind != JSON:
        raise RefusedError(415, f"{kind}: send {JSON} or {BYTES}")
    content = parsed(body)
    if not isinstance(content, dict) or content.keys() != {"pixels"}:
        raise RefusedError(422, 'the body must be {"pixels": [[…], …]}')
    rows = content["pixels"]
    if not isinstance(rows, list):
        raise RefusedError(422, "pixels must be a list of lists")
    counted(rows, limits)  # before anything is made of them
    for number, row in enumerate(rows):
        check_row(number, row)
    return np.array(rows, dtype=np.uint8)


def parsed(body: bytes) -> Any:
    """Read JSON as its standard has it, which Python's reader widens.

    Raises
    ------
    RefusedError
        400: not UTF-8, not JSON, NaN or infinite numbers, a key twice, a
        number of thousands of digits, too many brackets in each other.
    """
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_constant=no_constant,
            object_pairs_hook=no_key_twice,
        )
    except RecursionError:
        raise RefusedError(400, "JSON: nested too deeply") from None
    except ValueError as error:  # also of decode, and of long numbers
        raise RefusedError(400, f"JSON: {str(error)[:80]}") from None


def no_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which JSON does not have.

    Raises
    ------
    ValueError
        Always.
    """
    raise ValueError(f"{name} is no JSON")


def no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object with the same key twice, as nobody knows which was meant.

    Raises
    ------
    ValueError
        A key comes twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def check_row(number: int, row: Any) -> None:
    """Refuse what is not 784 whole numbers from 0 to 255.

    ``true`` is 1 for Python, "7" is 7 for some converters, and 300 becomes 44
    in a byte: so types first, then size, then values.

    Raises
    ------
    RefusedError
        422, with what is wrong.
    """
    if not isinstance(row, list) or len(row) != PIXELS:
        size = len(row) if isinstance(row, list) else type(row).__name__
        raise RefusedError(422, f"picture {number}: 784 numbers, not {size}")
    if set(map(type, row)) - {int, float}:
        raise RefusedError(422, f"picture {number}: not only numbers")
    if min(row) < 0 or max(row) > 255:  # 1e999 is infinite
        raise RefusedError(422, f"picture {number}: beyond 0 to 255")
    if any(pixel != int(pixel) for pixel in row):
        raise RefusedError(422, f"picture {number}: not whole numbers")


def counted(rows: Any, limits: Limits) -> Any:
    """Refuse no rows, and more rows than the limit.

    Raises
    ------
    RefusedError
        422, with the limit.
    """
    if not 1 <= len(rows) <= limits.rows:
        raise RefusedError(
            422, f"{len(rows)} pictures: send 1 to {limits.rows}"
        )
    return rows
