"""Quizzes in the static page: ``{quiz}`` with a list of questions in YAML.

Plain form controls, so that keyboards and screen readers know them; the
answers stand in a part to unfold and remain there without JavaScript, and
`quiz.js` tells from them why the reader's answer is right or wrong.
(jupyterquiz draws from the output of an executed cell, with buttons that are
not form controls, so it serves neither.)

Each question is a mapping::

    question: What does this print?
    kind: choice | many | number | predict
    code: |            # predict: the program
    options:           # choice, many, predict
      - {text: 2, correct: true, why: ...}
    answer: 1.33       # number, or text for predict without options
    tolerance: 0.01    # number: greatest difference that still counts
    unit: s            # number
    why: ...           # number, and predict without options
"""

from __future__ import annotations

import math
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from listing import fold
from tags import element

KINDS = ("choice", "many", "number", "predict")
KEYS = {
    "question", "kind", "code", "options", "answer", "tolerance", "unit", "why"
}  # fmt: skip
OPTION_KEYS = {"text", "correct", "why"}


class Malformed(Exception):
    """A question that cannot be asked."""


def read(text: str) -> list[dict[str, Any]]:
    """Read the source of a quiz; `Malformed` says what is wrong, and where."""
    try:
        questions = yaml.safe_load(text)
    except Exception as error:
        words = str(error) or type(error).__name__
        raise Malformed(f"quiz: no YAML: {words}") from error
    if not isinstance(questions, list):
        raise Malformed("quiz: write a list of questions")
    for number, question in enumerate(questions, 1):
        try:
            check_question(question)
        except Malformed as error:
            raise Malformed(f"quiz, question {number}: {error}") from None
    return questions


def check_question(question: Any) -> dict[str, Any]:
    """Say what is wrong with a question's source, or return it."""
    if not isinstance(question, dict):
        raise Malformed("each question is a mapping with `question:`")
    try:
        repr(question)
    except ValueError:  # Python writes no number of thousands of digits
        raise Malformed("a number has too many digits") from None
    _check_keys(question, KEYS)
    if not question.get("question"):
        raise Malformed("`question:` is missing")
    if question.get("kind") not in KINDS:
        raise Malformed(f"`kind:` is one of {', '.join(KINDS)}")
    if not isinstance(question.get("code", ""), str):
        raise Malformed("`code:` is a text")
    if "options" in question:
        _check_options(question)
    elif question["kind"] in ("choice", "many"):
        raise Malformed("`options:` is missing")
    else:
        _check_answer(question)
    return question


def _check_keys(mapping: dict[Any, Any], known: set[str]) -> None:
    if unknown := set(mapping) - known:
        raise Malformed(f"unknown key {', '.join(sorted(map(str, unknown)))}")


def _check_options(question: dict[str, Any]) -> None:
    options = question["options"]
    if question["kind"] == "number":
        raise Malformed("a number has no `options:`")
    if not isinstance(options, list) or len(options) < 2:
        raise Malformed("`options:` is a list of at least two")
    for option in options:
        if not isinstance(option, dict) or option.get("text") is None:
            raise Malformed("each option has `text:`")
        _check_keys(option, OPTION_KEYS)
        if not isinstance(option.get("correct", False), bool):
            raise Malformed("`correct:` is true or false")
        if not option.get("correct") and not option.get("why"):
            raise Malformed(f"option {option['text']!r} is wrong: say `why:`")
    right = sum(bool(option.get("correct")) for option in options)
    if right == 0 or (right > 1 and question["kind"] != "many"):
        raise Malformed(f"{right} options are correct")


def _check_answer(question: dict[str, Any]) -> None:
    if "answer" not in question or not question.get("why"):
        raise Malformed("without `options:`, `answer:` and `why:` are needed")
    if question["kind"] == "number":
        for key in ("answer", "tolerance"):
            if not _is_number(question.get(key)):
                raise Malformed(f"`{key}:` is a number")
        if question["tolerance"] < 0:
            raise Malformed("`tolerance:` is not negative")


def _is_number(value: Any) -> bool:
    """Is this a number that the page can compare? YAML's `.inf` is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond what a page can hold
        return False


class Quiz(SphinxDirective):
    """``{quiz}``: questions that explain each wrong answer."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Build the questions."""
        try:
            questions = read("\n".join(self.content))
        except Malformed as error:
            raise self.error(str(error)) from error
        box = element("div", class_="quiz")
        for number, question in enumerate(questions, 1):
            box += self._question(question, number)
        return [box]

    def _question(self, question: dict[str, Any], number: int) -> nodes.Node:
        name = f"quiz-{self.env.new_serialno('quiz')}"
        legend = element("legend", *self._inline(question["question"]))
        fields = element("fieldset", legend)
        if question.get("code"):
            fields += nodes.literal_block(
                question["code"], question["code"], language="python"
            )
        options = question.get("options")
        answers = element("ul")
        if options:
            for index, option in enumerate(options):
                fields += self._option(question, option, name, index)
                answers += self._answer(option, index)
        else:
            fields += self._field(question, name)
            answers += self._solution(question)
        form = element(
            "form", fields, class_="question", data_kind=kind(question)
        )
        form += element("button", text="Check", type="submit")
        form += element("div", class_="verdict", role="status")
        form += fold("Answers", answers, class_="answers")
        form["notebook_markdown"] = markdown(question, number)
        return form

    def _option(
        self,
        question: dict[str, Any],
        option: dict[str, Any],
        name: str,
        index: int,
    ) -> nodes.Node:
        identity = f"{name}-{index}"
        box = element(
            "input",
            type="checkbox" if question["kind"] == "many" else "radio",
            name=name,
            id=identity,
            value=str(index),
        )
        label = element("label", *self._block(option["text"]), for_=identity)
        return element("div", box, label, class_="option")

    def _answer(self, option: dict[str, Any], index: int) -> nodes.Node:
        right = "true" if option.get("correct") else "false"
        item = element("li", data_option=str(index), data_correct=right)
        verdict = "Right: " if option.get("correct") else "Wrong: "
        item += element("strong", text=verdict)
        item += element("span", *self._block(option["text"]), class_="said")
        if option.get("why"):
            item += element("div", *self._inline(option["why"]), class_="why")
        return item

    def _field(self, question: dict[str, Any], name: str) -> nodes.Node:
        words = "Your answer"
        if question.get("unit"):
            words += f" ({question['unit']})"
        label = element("label", text=words, for_=name)
        lines = str(question["answer"]).strip().count("\n") + 1
        if lines > 1:
            box = element("textarea", id=name, rows=str(lines))
        else:
            number = question["kind"] == "number"
            mode = {"inputmode": "decimal"} if number else {}
            box = element(
                "input", type="text", id=name, autocomplete="off", **mode
            )
        return element("div", label, box, class_="option")

    def _solution(self, question: dict[str, Any]) -> nodes.Node:
        item = element(
            "li",
            data_answer=str(question["answer"]).strip(),
            data_tolerance=str(question.get("tolerance", "")),
            data_correct="true",
        )
        item += element("strong", text="Answer: ")
        unit = f" {question['unit']}" if question.get("unit") else ""
        answer = f"{question['answer']}".rstrip() + unit
        shown = nodes.literal(answer, answer)
        item += element("pre", text=answer) if "\n" in answer else shown
        item += element("div", *self._inline(question["why"]), class_="why")
        return item

    def _inline(self, text: Any) -> list[nodes.Node]:
        """Parse Markdown of one paragraph without the paragraph around it."""
        children, messages = self.state.inline_text(str(text), self.lineno)
        return [*children, *messages]

    def _block(self, text: Any) -> list[nodes.Node]:
        """Keep the lines of an output; parse anything else."""
        lines = str(text).rstrip("\n")
        if "\n" in lines:
            return [element("pre", text=lines)]
        return self._inline(lines)


def kind(question: dict[str, Any]) -> str:
    """How the page compares the answer: options, a number or a text."""
    if question.get("options"):
        return "options"
    return "number" if question["kind"] == "number" else "text"


def markdown(question: dict[str, Any], number: int) -> str:
    """Write a question for a notebook, its answers folded."""
    parts = [f"**Question {number}.** {question['question']}"]
    if question.get("code"):
        parts.append(f"```python\n{question['code'].rstrip()}\n```")
    options = question.get("options", [])
    parts += (
        ["\n".join(f"- {_line(o['text'])}" for o in options)]
        if options
        else []
    )
    answers = [
        f"- {'Right' if o.get('correct') else 'Wrong'}: {_line(o['text'])}"
        + (f" – {o['why']}" if o.get("why") else "")
        for o in options
    ]
    if not options:
        unit = f" {question['unit']}" if question.get("unit") else ""
        answers = [f"{_line(question['answer'])}{unit} – {question['why']}"]
    inner = "\n".join(answers)
    parts.append(
        f"<details><summary>Answers</summary>\n\n{inner}\n\n</details>"
    )
    return "\n\n".join(parts)


def _line(text: Any) -> str:
    """Write an option that has lines of output in one line."""
    lines = str(text).strip().splitlines()
    return lines[0] if len(lines) == 1 else "`" + " ⏎ ".join(lines) + "`"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.setup_extension("tags")
    app.add_directive("quiz", Quiz)
    app.add_js_file("quiz.js", loading_method="defer")
    return {"version": "1", "parallel_read_safe": True}
