"""How files of a dataset are read, whatever is in them."""

import gzip
import math
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from parallel_ai.toolbox import formats
from parallel_ai.toolbox.datasets import DatasetError


def idx(array: np.ndarray) -> bytes:
    shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
    head = b"\0\0\x08" + bytes([array.ndim])
    return gzip.compress(head + shape + array.tobytes(), mtime=0)


@given(
    arrays.arrays(
        np.uint8, arrays.array_shapes(max_dims=4, min_side=0, max_side=5)
    )
)
def test_idx_comes_back(array):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gz"
        path.write_bytes(idx(array))
        again = formats.read_idx(path)
    np.testing.assert_array_equal(again, array)
    assert again.dtype == np.uint8
    assert again.flags.writeable  # torch.from_numpy wants that


@given(
    st.binary(max_size=20)
    | st.binary(max_size=20).map(lambda rest: b"\0\0\x08" + rest)
)
def test_idx_of_anything_else(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gz"
        path.write_bytes(gzip.compress(content))
        dimensions = content[3] if len(content) > 3 else 99
        sizes = content[4 : 4 + 4 * dimensions]
        shape = np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4").tolist()
        valid = (
            content[:3] == b"\0\0\x08"
            and len(shape) == dimensions
            and len(content) == 4 + 4 * dimensions + math.prod(shape)
        )
        if valid:
            assert list(formats.read_idx(path).shape) == shape
        else:
            with pytest.raises(DatasetError, match=re.escape(str(path))):
                formats.read_idx(path)


@given(
    st.binary(max_size=20)
    | st.builds(lambda end: gzip.compress(bytes(99))[:end], st.integers(0, 28))
)
def test_what_is_not_packed_whole_is_no_idx(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gz"
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=re.escape(str(path))):
            formats.read_idx(path)


def test_a_folder_of_images_has_its_images_as_members():
    images = {"name": "cats", "images": [1, 20]}
    found = formats.members(Path("there"), images)
    names = ["there/cats/image_0001.jpg", "there/cats/image_0020.jpg"]
    assert [path.as_posix() for path in found] == names
    assert formats.members(Path("there"), {"name": "a.csv"}) == [
        Path("there/a.csv")
    ]
