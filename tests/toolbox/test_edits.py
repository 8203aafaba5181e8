"""A reader's edit reaches every name that holds the edited function.

In a process of its own, because IPython's shell is there once in each.
"""

import os
import subprocess
import sys

import pytest

SECONDS = 60
SOURCE = """
from contextlib import contextmanager
from functools import cache

import numba

def plain(): return 'old'

@cache
def kept(): return 'old'

@contextmanager
def managed(): yield 'old'

@numba.njit
def compiled(): return 'old'

class Thing:
    def said(self): return 'old'
"""
SCRIPT = """
import sys
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "parallel_ai.toolbox.edits")
shell.run_cell('''
import sys
import parallel_ai
parallel_ai.__path__.append(sys.argv[1])
from parallel_ai.edited import Thing, compiled, kept, managed, plain, source
from parallel_ai import edited
thing, wrapped = Thing(), kept.__wrapped__
''', silent=True).raise_error()
show = '''
with managed() as one, edited.managed() as other:
    print(plain(), edited.plain(), kept(), edited.kept(), one, other,
          compiled(), edited.compiled(), thing.said(), Thing().said())
'''
shell.run_cell(show).raise_error()
path = Path(sys.argv[1]) / "edited" / "source.py"
path.write_text(path.read_text().replace("'old'", "'changed'"))
shell.run_cell(show).raise_error()
shell.run_cell("print(wrapped is not kept)").raise_error()
"""


@pytest.fixture
def folder(tmp_path):
    package = tmp_path / "edited"
    package.mkdir()
    names = "Thing, compiled, kept, managed, plain"
    (package / "__init__.py").write_text(f"from .source import {names}\n")
    (package / "source.py").write_text(SOURCE)
    return tmp_path


def test_an_edit_takes_effect_under_every_name(folder):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)],
        env={**os.environ, "IPYTHONDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    before, after, others = done.stdout.splitlines()
    assert before.split() == ["old"] * 10
    assert after.split() == ["changed"] * 10
    assert others == "True", "a name for something else stays what it was"
