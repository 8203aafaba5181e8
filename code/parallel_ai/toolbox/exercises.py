"""Exercises that are checked, from one source: the hidden solution.

A chapter's module ends with its solutions, each with the check that it
passes. The page shows the starter that is generated from the solution, so
neither can be without the other, and the learner's cell calls `check`.
"""

import ast
import inspect
import signal
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
SECONDS = 60  # a solution takes far less, a loop without end takes more


@dataclass(frozen=True)
class Exercise:
    """A solution and the function that checks any candidate for it."""

    solution: Callable[..., Any]
    check: Callable[[Callable[..., Any]], None]


EXERCISES: dict[str, Exercise] = {}


def exercise(
    check: Callable[[Callable[..., Any]], None],
) -> Callable[[Function], Function]:
    """Make an exercise of a function, which is its hidden solution.

    Parameters
    ----------
    check : callable
        Takes a candidate, and raises AssertionError with a message that
        helps: what was called, what came, what was expected, never how to
        do it.

    Returns
    -------
    callable
        A decorator that registers the function and leaves it as it is.
    """

    def register(solution: Function) -> Function:
        name = f"{solution.__module__}.{solution.__name__}"
        EXERCISES[name] = Exercise(solution, check)
        return solution

    return register


def starter(solution: Callable[..., Any]) -> str:
    """Source with which a learner starts: signature, task, no body.

    Raises
    ------
    TypeError
        It is no plain function.
    """
    source = textwrap.dedent(inspect.getsource(solution))
    node = ast.parse(source).body[0]
    if not isinstance(node, ast.FunctionDef):
        raise TypeError(f"{solution} is not a plain function")
    return starter_of(node)


def starter_of(node: ast.FunctionDef) -> str:
    """Write the starter of a function's syntax tree.

    Annotations are left out: they may name types that a notebook has not
    imported, and the docstring tells the same in words.
    """
    arguments = ast.parse(f"def f({ast.unparse(node.args)}): ...").body[0]
    assert isinstance(arguments, ast.FunctionDef)  # noqa: S101 - for mypy
    for argument in ast.walk(arguments.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    task = textwrap.indent(ast.get_docstring(node) or "", "    ").strip()
    return (
        f"def {node.name}({ast.unparse(arguments.args)}):\n"
        f'    """{task}{chr(10) + "    " if chr(10) in task else ""}"""\n'
        "    raise NotImplementedError  # your code comes here\n"
    )


def check(candidate: Callable[..., Any], chapter: ModuleType) -> None:
    """Say whether the learner's function solves the exercise of its name.

    Parameters
    ----------
    candidate : callable
        The learner's function.
    chapter : module
        The chapter's module, such as `parallel_ai.one_machine.processes`.
    """
    problem = verdict(candidate, chapter)
    print(f"Not yet. {problem}" if problem else "Correct.")


def verdict(candidate: Callable[..., Any], chapter: ModuleType) -> str:
    """Find what is wrong with a candidate; empty if nothing is."""
    task = _find(candidate, chapter)
    wanted = list(inspect.signature(task.solution).parameters)
    given = list(inspect.signature(candidate).parameters)
    if given != wanted:
        return (
            f"{candidate.__name__} takes ({', '.join(given)}) but is called"
            f" with ({', '.join(wanted)})."
        )
    try:
        with _time_limit():
            task.check(candidate)
    except NotImplementedError:
        return "This is still the starter: replace its last line."
    except AssertionError as error:
        return str(error) or "A result is not as expected."
    except _OutOfTimeError:
        return f"It still ran after {SECONDS} s: does a loop never end?"
    except Exception as error:  # noqa: BLE001 - whatever the learner's code does
        return _describe(error, candidate)
    return ""


def _find(candidate: Callable[..., Any], chapter: ModuleType) -> Exercise:
    below = {
        name.rpartition(".")[2]: task
        for name, task in EXERCISES.items()
        if name.startswith(f"{chapter.__name__}.")
    }
    name = getattr(candidate, "__name__", str(candidate))
    if name not in below:
        raise LookupError(
            f"{chapter.__name__} has no exercise {name!r}; it has"
            f" {', '.join(below) or 'none'}. Keep the starter's name"
        )
    return below[name]


def _describe(error: Exception, candidate: Callable[..., Any]) -> str:
    """Error of the learner's code, with the line that raised it."""
    code = getattr(candidate, "__code__", None)
    lines = [
        frame.line
        for frame in traceback.extract_tb(error.__traceback__)
        if code and frame.filename == code.co_filename and frame.line
    ]
    place = f" in the line\n    {lines[-1]}" if lines else ""
    return f"It raised {type(error).__name__}: {error}{place}"


class _OutOfTimeError(BaseException):
    """The candidate ran for too long; its `except Exception` lets this by."""


@contextmanager
def _time_limit() -> Iterator[None]:
    """Interrupt the block after `SECONDS`, where the system can do that."""
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise _OutOfTimeError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
