"""Whatever happens on the way, a file is whole and verified, or not there."""

from __future__ import annotations

import hashlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path
from types import SimpleNamespace

import pooch.core  # before any capture: its logger keeps the stderr it finds
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parallel_ai.toolbox import downloads
from parallel_ai.toolbox.downloads import (
    DatasetError,
    ResumingDownloader,
    fetch,
    locked,
)

CHUNK = 1 << 16  # what the downloader writes at once
CONTENT = bytes(range(256)) * 1000 + b"the end"
HTTP = ResumingDownloader(schemes=("http",), progressbar=False)
WAIT = 60


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """One attempt a call; seconds that pooch would have waited are listed."""
    waited: list[float] = []
    monkeypatch.setattr(downloads, "RETRIES", 0)
    fake = SimpleNamespace(sleep=waited.append)
    monkeypatch.setattr(pooch.core, "time", fake)
    return waited


@pytest.fixture
def get(server, tmp_path):
    """Fetch a.bin, of which the server has CONTENT."""
    right = sha256(CONTENT)
    server.files["a.bin"] = CONTENT
    path = tmp_path / "cache" / "a.bin"

    def get(downloader=HTTP, checksum=right) -> Path:
        fetch(path, server.url("a.bin"), checksum, downloader=downloader)
        return path

    get.path = path
    get.part = path.with_name("a.bin.part")
    return get


def test_arrives_whole_and_leaves_nothing_else(get, server):
    path = get()
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    assert server.requests == [None]


def test_asks_nobody_for_a_file_that_is_there(get, server):
    get()
    get()
    assert len(server.requests) == 1


def test_md5_where_no_other_checksum_is_known(get):
    digest = hashlib.md5(CONTENT).hexdigest()
    assert get(checksum=f"md5:{digest}").read_bytes() == CONTENT


def test_goes_on_where_it_stopped(get, server):
    server.cuts = [2 * CHUNK]
    with pytest.raises(
        DatasetError, match=r"131,072 bytes are kept in .*part"
    ):
        get()
    assert get.part.read_bytes() == CONTENT[: 2 * CHUNK]
    assert not get.path.exists()
    assert get().read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={2 * CHUNK}-"]
    assert server.sent == len(CONTENT)  # not one byte twice
    assert not get.part.exists()


def test_starts_anew_where_the_server_knows_no_ranges(get, server):
    server.ranges, server.cuts = False, [2 * CHUNK]
    with pytest.raises(DatasetError):
        get()
    assert get().read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={2 * CHUNK}-"]
    assert server.sent == 2 * CHUNK + len(CONTENT)


def test_tries_again_by_itself(get, server, monkeypatch, waits):
    monkeypatch.setattr(downloads, "RETRIES", 2)
    server.cuts = [CHUNK, CHUNK]
    assert get().read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={CHUNK}-", f"bytes={2 * CHUNK}-"]
    assert waits == [1, 2]


def test_killed_between_the_last_byte_and_the_move(get, server):
    get.part.parent.mkdir()
    get.part.write_bytes(CONTENT)
    assert get().read_bytes() == CONTENT
    assert server.sent == 0


@pytest.mark.parametrize("junk", [b"?" * 1000, b"?" * (len(CONTENT) + 1)])
def test_a_partial_file_of_something_else(get, server, monkeypatch, junk):
    monkeypatch.setattr(downloads, "RETRIES", 1)
    get.part.parent.mkdir()
    get.part.write_bytes(junk)
    assert get().read_bytes() == CONTENT
    assert server.requests == [f"bytes={len(junk)}-", None]


def test_one_flipped_bit_is_refused_and_deleted(get, server):
    server.files["a.bin"] = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(DatasetError, match="another file than expected"):
        get()
    assert list(get.path.parent.iterdir()) == []


def test_a_file_that_is_not_there(get, server):
    server.files.clear()
    with pytest.raises(DatasetError, match="the server answers 404"):
        get()


def test_no_network(tmp_path):
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a.bin"
        with pytest.raises(
            DatasetError, match="did not arrive.*Call again with a network, or"
        ):
            fetch(
                tmp_path / "a.bin",
                url,
                sha256(CONTENT),
                downloader=HTTP,
                otherwise=", or do something else",
            )


def test_a_server_that_says_nothing(get, server):
    server.gate = threading.Event()  # never set while we wait
    hasty = ResumingDownloader(("http",), False, timeout=(5, 0.2))
    with pytest.raises(DatasetError, match="did not arrive"):
        get(downloader=hasty)


def test_only_https_unless_a_test_says_otherwise(get, server):
    with pytest.raises(DatasetError, match="is refused: it is not https"):
        get(downloader=None)
    assert server.requests == []


def test_https(tls_server, tmp_path, monkeypatch):
    tls_server.files["a.bin"] = CONTENT
    url, path = tls_server.url("a.bin"), tmp_path / "a.bin"
    with pytest.raises(DatasetError, match="SSLError"):
        fetch(path, url, sha256(CONTENT))
    assert not path.exists()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls_server.certificate))
    fetch(path, url, sha256(CONTENT))
    assert path.read_bytes() == CONTENT


def test_no_redirection_out_of_https(
    tls_server, server, tmp_path, monkeypatch
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls_server.certificate))
    server.files["a.bin"] = CONTENT
    tls_server.moved["a.bin"] = server.url("a.bin")
    with pytest.raises(DatasetError, match="is refused"):
        fetch(tmp_path / "a.bin", tls_server.url("a.bin"), sha256(CONTENT))
    assert server.requests == []


def test_shows_a_progress_bar(get, capsys):
    bar = downloads._bar(delay=0)
    get(downloader=ResumingDownloader(("http",), bar))
    assert "100%" in capsys.readouterr().err.splitlines()[-1]


def test_shows_none_for_what_takes_no_time(get, capsys):
    get(downloader=ResumingDownloader(("http",), downloads._bar(delay=99)))
    assert "%" not in capsys.readouterr().err


class Bar:
    """A progress bar that does something at the second piece."""

    total = 0

    def __init__(self, action) -> None:
        self.pieces, self.action = 0, action

    def update(self, size: int) -> None:
        self.pieces += 1
        if self.pieces == 2:
            self.action()

    def reset(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_ctrl_c_keeps_what_arrived(get, server):
    interrupt = Bar(lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        get(downloader=ResumingDownloader(("http",), interrupt))
    assert list(get.path.parent.iterdir()) == [get.part]
    assert get.part.read_bytes() == CONTENT[: 2 * CHUNK]
    assert get().read_bytes() == CONTENT
    assert server.requests[1] == f"bytes={2 * CHUNK}-"


def child(code: str, *args: object, before: tuple[str, ...] = ()):
    """Start a program of which the arguments are `path, url, checksum`."""
    head = """
        import sys
        from pathlib import Path
        from parallel_ai.toolbox import downloads
        from parallel_ai.toolbox.downloads import *
        downloads.RETRIES = 0
        http = ResumingDownloader(("http",), False)
        path, (url, checksum) = Path(sys.argv[1]), sys.argv[2:]
    """
    program = textwrap.dedent(head) + textwrap.dedent(code)
    return subprocess.Popen(
        [*before, sys.executable, "-c", program, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    try:
        out, err = process.communicate(timeout=WAIT)
    finally:
        process.kill()
    assert process.returncode == 0, err
    return out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_kill_keeps_what_arrived(get, server):
    process = child(
        """
        import signal
        class Bar:
            total = 0
            def update(self, size):
                print("piece", flush=True)
                signal.pause()
        fetch(path, url, checksum, downloader=ResumingDownloader(("http",), Bar()))
        """,
        get.path,
        server.url("a.bin"),
        sha256(CONTENT),
    )
    assert process.stdout.readline() == "piece\n"
    process.kill()
    process.communicate(timeout=WAIT)
    assert get().read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={CHUNK}-"]


FULL = """
    import subprocess
    try:
        fetch(path, url, checksum, downloader=http)
    except DatasetError as error:
        print(error)
    print(path.exists(), path.with_name("a.bin.part").stat().st_size > 0)
    make_room()
    fetch(path, url, checksum, downloader=http)
    print("whole")
"""


def namespace(script: str, folder: Path) -> tuple[str, ...]:
    """Run a command after a script that may mount file systems of its own."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here: see the other test of a full disk")
    command = ("unshare", "-Urm", "sh", "-ec", script + '; shift; exec "$@"')
    command = (*command, "sh", str(folder))
    tried = subprocess.run(
        [*command, "true"], capture_output=True, check=False
    )
    if tried.returncode:
        pytest.skip("no mounts in a namespace here: see the other test")
    return command


def test_full_disk(get, server):
    get.path.parent.mkdir()
    room = "def make_room(): subprocess.run(['mount', '-o', 'remount,size=8m', path.parent], check=True)"
    mount = namespace(
        'mount -t tmpfs -o size=128k tmpfs "$1"', get.path.parent
    )
    process = child(
        room + "\n" + textwrap.dedent(FULL),
        get.path,
        server.url("a.bin"),
        sha256(CONTENT),
        before=mount,
    )
    first, *rest = finish(process).splitlines()
    assert first.startswith(
        f"No space for {get.path}: No space left on device"
    )
    assert "Make room and call again; what arrived is kept." in first
    assert rest == ["False True", "whole"]
    assert server.requests[1] is not None  # went on


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no rlimits")
def test_full_quota(get, server):
    limit = """
    import resource, signal
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    def make_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    """
    process = child(
        textwrap.dedent(limit) + textwrap.dedent(FULL),
        get.path,
        server.url("a.bin"),
        sha256(CONTENT),
    )
    first, *rest = finish(process).splitlines()
    assert first.startswith(f"No space for {get.path}: File too large")
    assert rest == ["False True", "whole"]


def test_a_folder_that_cannot_be_made(get):
    get.path.parent.write_text("a file in its place")
    with (
        pytest.raises(DatasetError, match="cannot be written"),
        locked(get.path.parent),
    ):
        pass


def test_waits_for_another_process_with_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "WAIT", 0.05)
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(
            DatasetError, match="for another process that downloads"
        ),
        locked(tmp_path),
    ):
        pass


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    size=st.integers(0, 5 * CHUNK),
    cuts=st.lists(st.integers(0, 2 * CHUNK), max_size=4),
    ranges=st.booleans(),
)
def test_any_cuts_in_any_file(server, size, cuts, ranges):
    content = (CONTENT * 2)[:size]
    server.files["b.bin"] = content
    server.cuts, server.ranges = list(cuts), ranges
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(downloads, "RETRIES", len(cuts))
        path = Path(folder) / "b.bin"
        fetch(path, server.url("b.bin"), sha256(content), downloader=HTTP)
        assert path.read_bytes() == content
