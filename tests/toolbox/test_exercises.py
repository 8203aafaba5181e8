"""Every exercise of the book, and what a learner can do wrong in one."""

import importlib
import inspect
import pkgutil
import threading
from types import ModuleType

import pytest

import parallel_ai
from parallel_ai.toolbox import exercises
from parallel_ai.toolbox.exercises import EXERCISES, check, starter, verdict


def modules() -> list[ModuleType]:
    """Every module of the package; one that exits when imported is none."""
    found = pkgutil.walk_packages(parallel_ai.__path__, "parallel_ai.")
    return [
        importlib.import_module(module.name)
        for module in found
        if not module.name.endswith("__main__")
    ]


BOOK = {
    name: task
    for module in modules()
    for name, task in EXERCISES.items()
    if task.solution.__module__ == module.__name__
}
HERE = ModuleType(__name__)


def chapter_of(name: str) -> ModuleType:
    return importlib.import_module(name.rsplit(".", 2)[0])


def written(source: str, name: str):
    """The function of a learner's cell."""
    scope: dict = {}
    exec(source, scope)
    return scope[name]


def _check_doubled(candidate):
    got = candidate(3)
    if got != 6:  # no assert: pytest would add to the message
        raise AssertionError(f"doubled(3) returned {got!r}, expected 6")


def doubled(number: int) -> int:
    """Return twice the number."""
    return 2 * number


@pytest.fixture(autouse=True)
def an_exercise(monkeypatch):
    """Register one exercise for the length of a test."""
    monkeypatch.setattr(exercises, "EXERCISES", dict(EXERCISES))
    exercises.exercise(_check_doubled)(doubled)


def test_the_book_has_exercises_in_every_chapter():
    chapters = {chapter_of(name).__name__ for name in BOOK}
    assert len(chapters) >= 3
    assert all(len([n for n in BOOK if n.startswith(c)]) > 1 for c in chapters)


@pytest.mark.parametrize("name", BOOK)
def test_the_solution_passes_its_check(name):
    assert verdict(BOOK[name].solution, chapter_of(name)) == ""


@pytest.mark.parametrize("name", BOOK)
def test_the_starter_runs_and_fails_the_check(name):
    solution = BOOK[name].solution
    learners = written(starter(solution), solution.__name__)
    assert "starter" in verdict(learners, chapter_of(name))


@pytest.mark.parametrize("name", BOOK)
def test_a_function_that_returns_nothing_is_told_what_was_expected(name):
    solution = BOOK[name].solution
    parameters = ", ".join(inspect.signature(solution).parameters)
    function = solution.__name__
    learners = written(f"def {function}({parameters}): pass", function)
    message = verdict(learners, chapter_of(name))
    assert function in message or "raised" in message
    assert len(message) > len(function) + 10


@pytest.mark.parametrize("name", BOOK)
def test_the_starter_shows_the_task_and_not_the_solution(name):
    solution = BOOK[name].solution
    shown = starter(solution)
    assert inspect.getdoc(solution).splitlines()[0] in shown
    body = shown.rpartition('"""')[2]
    assert body.split() == [
        "raise",
        "NotImplementedError",
        *["#", "your", "code", "comes", "here"],
    ]
    assert all(len(line) <= 79 for line in shown.splitlines())


def test_a_right_function_is_praised(capsys):
    check(lambda_named("doubled", lambda number: number + number), HERE)
    assert capsys.readouterr().out == "Correct.\n"


def lambda_named(name, function):
    function.__name__ = name
    return function


def test_a_wrong_result_is_shown_beside_the_expected_one(capsys):
    check(lambda_named("doubled", lambda number: number), HERE)
    said = capsys.readouterr().out
    assert said == "Not yet. doubled(3) returned 3, expected 6\n"


def test_the_solutions_own_code_is_never_printed():
    for learners in (
        lambda_named("doubled", lambda number: number),
        lambda_named("doubled", lambda: 6),
        lambda_named("doubled", lambda number: 1 / 0),
    ):
        assert "2 *" not in verdict(learners, HERE)


def test_other_parameters_are_named():
    learners = written("def doubled(n, times): return n", "doubled")
    assert verdict(learners, HERE) == (
        "doubled takes (n, times) but is called with (number)."
    )


def test_an_error_is_told_with_its_line(tmp_path):
    cell = tmp_path / "cell.py"
    cell.write_text("def doubled(number):\n    return number / 0\n", "utf8")
    scope: dict = {}
    exec(compile(cell.read_text("utf8"), str(cell), "exec"), scope)
    assert verdict(scope["doubled"], HERE) == (
        "It raised ZeroDivisionError: division by zero in the line\n"
        "    return number / 0"
    )


def test_a_loop_without_end_is_interrupted(monkeypatch):
    monkeypatch.setattr(exercises, "SECONDS", 0.05)
    learners = written("def doubled(number):\n    while True: pass", "doubled")
    assert "does a loop never end" in verdict(learners, HERE)


def test_a_loop_that_swallows_errors_is_interrupted_too(monkeypatch):
    """The usual `except Exception` round a loop's body."""
    monkeypatch.setattr(exercises, "SECONDS", 0.05)
    learners = written(
        "def doubled(number):\n"
        "    while True:\n"
        "        try:\n"
        "            sum(range(1000))\n"
        "        except Exception:\n"
        "            pass",
        "doubled",
    )
    assert "does a loop never end" in verdict(learners, HERE)


def test_the_time_limit_leaves_no_alarm_behind():
    import signal

    before = signal.getsignal(signal.SIGALRM)
    assert verdict(doubled, HERE) == ""
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_check_runs_in_another_thread_too():
    said = []
    thread = threading.Thread(
        target=lambda: said.append(verdict(doubled, HERE))
    )
    thread.start()
    thread.join(10)
    assert said == [""]


def test_a_renamed_function_is_told_the_names():
    with pytest.raises(LookupError, match=r"it has doubled\. Keep"):
        check(lambda_named("twice", lambda number: 6), HERE)


def test_a_value_instead_of_a_function_is_told_the_same():
    with pytest.raises(LookupError, match="no exercise '6'"):
        check(6, HERE)


def test_a_starter_needs_a_plain_function():
    class Task:
        """No function."""

    with pytest.raises(TypeError, match="not a plain function"):
        starter(Task)
