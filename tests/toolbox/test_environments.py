"""Each environment is what it says, seen by a test that runs in it."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from parallel_ai.toolbox import environments
from parallel_ai.toolbox.environments import Environment

ROOT_ONLY = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root may make a namespace or drop rights"
)
SEEN = {
    "one core": "len(os.sched_getaffinity(0)) == 1",
    "2 GB": "os.environ['PARALLEL_AI_MEMORY'] == '2GB'",
    "odd path": "{'ü', ' '} < set(os.getcwd())",
    "text not UTF-8": "locale.getencoding().lower() not in ('utf-8', 'utf8')",
    "no network": "len(open('/proc/net/route').readlines()) == 1",
    "read-only checkout": "not os.access('.', os.W_OK)",
}
# What stands for an interpreter: it says of the user who runs it.
STAND_IN = """#!/bin/sh
test "$(id -u)" = 65534 && echo "1 passed in 0s"
"""


def found(name: str) -> Environment:
    return next(e for e in environments.environments() if e.name == name)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Make a repository of one test; returns what commits its assertion."""
    root = tmp_path / "repository"
    root.mkdir()
    monkeypatch.setattr(environments, "ROOT", root)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]

    def commit(assertion, makefile=""):
        (root / "test_one.py").write_text(
            f"import locale, os, sys\n\ndef test_one():\n    assert {assertion}\n"
        )
        (root / "Makefile").write_text(makefile)
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
            subprocess.run([*git, *words], cwd=root, check=True)

    return commit


def test_every_environment_is_checked():
    names = {e.name for e in environments.environments() if not e.python}
    assert names == set(SEEN)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=ROOT_ONLY if name[:2] in ("no", "re") else ())
        for name in SEEN
    ],
)
def test_environment_is_what_it_says(name, repository, tmp_path):
    repository(SEEN[name])
    one = found(name)
    if why := one.missing():
        pytest.skip(why)
    result = environments.run(one, [], tmp_path / "said.txt")
    assert result.counts == {"passed": 1}, (tmp_path / "said.txt").read_text()
    assert result.code == 0


@pytest.mark.parametrize("name", ["one core", "odd path"])
def test_the_checks_fail_elsewhere(name, repository, tmp_path):
    repository(f"not ({SEEN[name]})")
    result = environments.run(found(name), [], tmp_path / "said.txt")
    assert result.counts == {"failed": 1}
    assert result.code == 1


def test_another_python_gets_an_environment_of_its_own(repository, tmp_path):
    repository(
        "sys.prefix != sys.base_prefix",
        ".venv/ready:\n\t$(PYTHON) -m venv --system-site-packages .venv\n"
        f"\tcp {sys.prefix}/lib/python*/site-packages/*.pth "
        ".venv/lib/python*/site-packages/ || true\n"
        f"\techo {sys.prefix}/lib/python3.{sys.version_info.minor}"
        "/site-packages > `echo .venv/lib/python*`/site-packages/all.pth\n",
    )
    one = Environment("another", python=sys.executable)
    result = environments.run(one, [], tmp_path / "said.txt")
    assert result.counts == {"passed": 1}, (tmp_path / "said.txt").read_text()


@ROOT_ONLY
def test_user_without_rights(repository, tmp_path):
    repository(
        "True",
        ".venv/ready:\n\tmkdir -p .venv/bin\n"
        "\tcp stand-in .venv/bin/python\n\tchmod +x .venv/bin/python\n",
    )
    (environments.ROOT / "stand-in").write_text(STAND_IN)
    subprocess.run(["git", "add", "."], cwd=environments.ROOT, check=True)
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
        + ["commit", "-qm", "two"],
        cwd=environments.ROOT,
        check=True,
    )
    one = found("user without rights")
    result = environments.run(one, [], tmp_path / "said.txt")
    assert result.counts == {"passed": 1}, (tmp_path / "said.txt").read_text()


def test_what_cannot_be_made_is_left_out_with_its_reason(
    monkeypatch, tmp_path, capsys
):
    lacking = [
        Environment("no Python", python="python9.9"),
        Environment("no program", ["no-such-program"]),
    ]
    monkeypatch.setattr(environments, "environments", lambda: lacking)
    assert environments.main(["--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "left out: python9.9 is not installed" in said
    assert "left out: no-such-program is not installed" in said


def test_table_and_exit_status(monkeypatch, repository, tmp_path, capsys):
    repository("os.environ['KIND'] == 'good'")
    kinds = [
        Environment(kind, variables={"KIND": kind}) for kind in ("good", "bad")
    ]
    monkeypatch.setattr(environments, "environments", lambda: kinds)
    assert environments.main(["--folder", str(tmp_path)]) == 1
    good, bad = capsys.readouterr().out.splitlines()
    assert "1 passed" in good
    assert "1 failed" in bad
    assert (
        environments.main(["--folder", str(tmp_path), "--only", "good"]) == 0
    )
    assert "KeyError" not in (tmp_path / "bad.txt").read_text()


def test_a_command_that_dies_is_told(repository, tmp_path):
    repository("os.kill(os.getpid(), 9)")
    one = replace(found("odd path"), name="killed")
    result = environments.run(one, [], tmp_path / "said.txt")
    assert result.counts == {}
    assert "did not end by itself" in str(result)
