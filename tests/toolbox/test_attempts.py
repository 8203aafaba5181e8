"""Programs that fail or hang: all is shown, and all ends."""

import psutil

from parallel_ai.toolbox.attempts import attempt, tidy


def test_attempt_shows_output_errors_and_exit_code():
    shown = attempt("print('before')\nraise SystemExit(3)")
    assert shown == "before\n[ended with exit code 3]"


def test_attempt_ends_what_hangs_and_all_that_it_started():
    shown = attempt(
        "import subprocess, sys, threading\n"
        "child = subprocess.Popen([sys.executable, '-c',"
        " 'import time; time.sleep(600)'])\n"
        "print(child.pid)\n"
        "threading.Event().wait()",
        seconds=3,
    )
    number, verdict = shown.splitlines()
    assert verdict == "[killed: still running after 3 s]"
    if psutil.pid_exists(int(number)):
        status = psutil.Process(int(number)).status()
        assert status == psutil.STATUS_ZOMBIE


def test_attempt_as_a_cell_has_functions_that_no_worker_finds():
    shown = attempt(
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "def brighten(pixel): return pixel\n"
        "with ProcessPoolExecutor(1, get_context('spawn')) as team:\n"
        "    print(*team.map(brighten, [1]))\n",
        as_cell=True,
    )
    assert "Can't get attribute 'brighten' on <module '__main__'" in shown
    assert "BrokenProcessPool" in shown


def test_tidy_keeps_our_frames_and_no_folders():
    text = (
        "Traceback (most recent call last):\n"
        '  File "/home/ada/lib/python3/multiprocessing/pool.py", line 1, in f\n'
        "    g()\n"
        '  File "/home/ada/parallel_ai/one_machine/x.py", line 2, in g\n'
        "    h()\n"
        "    ^^^\n"
        "ValueError: no\n"
    )
    assert tidy(text) == (
        "Traceback (most recent call last):\n"
        "  … 1 of Python's own lines …\n"
        '  File "…/one_machine/x.py", line 2, in g\n'
        "    h()\n"
        "    ^^^\n"
        "ValueError: no\n"
    )
    assert tidy("nothing to fold\n") == "nothing to fold\n"
