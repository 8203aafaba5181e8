"""What stands in toolbox/files.py: all of a file, or nothing."""

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest

from parallel_ai.toolbox.files import whole, write_whole

OLD, NEW = b"old", b"new" * 50_000


def test_a_file_gets_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "er" / "file.bin"
    with whole(path) as draft:
        assert draft.parent == path.parent  # the same disk: a rename
        assert draft.name.startswith(".")  # no reader of the folder takes it
        draft.write_bytes(NEW)
        assert not path.exists()
    assert path.read_bytes() == NEW
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [None, OLD])
def test_after_an_error_all_is_as_before(tmp_path, error, before):
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)

    def fail():
        with whole(path) as draft:
            draft.write_bytes(NEW[:100])
            raise error

    pytest.raises(error, fail)
    left = [file.read_bytes() for file in tmp_path.iterdir()]
    assert left == ([before] if before else [])


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(OLD)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, NEW)
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), whole(tmp_path / "file"):
        pass
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from parallel_ai.toolbox.files import whole

with whole(Path(sys.argv[1])) as draft:
    draft.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_whoever_is_killed_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    done = subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == OLD
    write_whole(path, NEW)  # what was left disturbs nobody
    assert path.read_bytes() == NEW


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_others_may_read_it_if_the_umask_says_so(tmp_path):
    path = tmp_path / "file"
    before = os.umask(0o027)
    try:
        write_whole(path, NEW)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_readers_never_see_half_of_it_while_two_write(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([number]) * 200_000 for number in range(2)]
    write_whole(path, contents[0])

    def keep_writing(content):
        for _ in range(50):
            write_whole(path, content)

    writers = [
        threading.Thread(target=keep_writing, args=[content])
        for content in contents
    ]
    for writer in writers:
        writer.start()
    seen = {path.read_bytes() for _ in range(300)}
    for writer in writers:
        writer.join()
    assert seen <= set(contents)
    assert list(tmp_path.iterdir()) == [path]
