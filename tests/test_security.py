"""What SECURITY.md promises, where no other test holds the book to it."""

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for folder in ("code", "book/_ext")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
# What runs code that stands in the bytes it reads, unless told not to.
ASKED = {"torch.load": {"weights_only": "True"}}
REFUSED = ("weights_only=False", "allow_pickle=True")
UNSAFE = {
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "cloudpickle.load",
    "cloudpickle.loads",
    "joblib.load",
    "pd.read_pickle",
    "dill.load",
    "dill.loads",
    "shelve.open",
    "marshal.load",
    "marshal.loads",
    "yaml.load",
    "yaml.unsafe_load",
}


def unsafe_loads(source: str) -> list[str]:
    """Calls that would run what foreign bytes say, without an excuse."""
    lines = source.splitlines()
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {k.arg: ast.unparse(k.value) for k in node.keywords}
        excused = "noqa: S301" in lines[node.lineno - 1]
        wrong = (
            (name in UNSAFE and not excused)
            or not ASKED.get(name, {}).items() <= given.items()
            or any(f"{k}={v}" in REFUSED for k, v in given.items())
        )
        if wrong:
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def test_the_search_for_unsafe_loads_finds_them():
    wrong = [
        "torch.load(f)",
        "np.load(f, allow_pickle=True)",
        "pickle.loads(b)",
        "yaml.load(t)",
    ]
    assert len(unsafe_loads("\n".join(wrong))) == len(wrong)
    for safe in ("torch.load(f, weights_only=True)", "np.load(f)"):
        assert unsafe_loads(safe) == []
    assert unsafe_loads("pickle.loads(b)  # noqa: S301, our own") == []


def test_no_foreign_bytes_are_executed():
    found = {
        path.relative_to(ROOT).as_posix(): unsafe_loads(path.read_text("utf8"))
        for path in SOURCES
    }
    assert {name: calls for name, calls in found.items() if calls} == {}


def test_an_unsafe_load_has_its_reason_beside_it():
    excuses = [
        (path.name, line.strip())
        for path in SOURCES
        for line in path.read_text("utf8").splitlines()
        if "noqa: S301" in line
    ]
    assert excuses
    assert [e for e in excuses if not re.search(r"S301, \w+", e[1])] == []


def test_security_rules_of_ruff_find_nothing():
    command = ["-m", "ruff", "check", "--select", "S", "code", "book/_ext"]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_a_port_that_is_open_to_others_is_seen():
    """By what watches every session."""
    listening = runpy.run_path(ROOT / "tests/watch.py")["listening"]
    table = """  sl  local_address rem_address   st
   0: 0100007F:1F90 00000000:0000 0A
   1: 0102007F:1F91 00000000:0000 0A
   2: 00000000000000000000000001000000:1F92 00000000:0000 0A
   3: 0000000000000000FFFF00000100007F:1F93 00000000:0000 0A
   4: 00000000:1F94 00000000:0000 0A
   5: 0100000A:1F95 0200000A:0016 01
   6: 00000000000000000000000000000000:1F96 00000000:0000 0A
"""
    assert {port for _, port in listening(table)} == {0x1F94, 0x1F96}


def test_actions_of_the_workflows_are_pinned_to_commits():
    used = [
        line.strip()
        for path in sorted((ROOT / ".github/workflows").glob("*.yml"))
        for line in path.read_text("utf8").splitlines()
        if "uses:" in line
    ]
    assert used
    pinned = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d")
    assert [line for line in used if not pinned.search(line)] == []
