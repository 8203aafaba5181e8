import subprocess
import sys

import pytest

from parallel_ai.toolbox.prose import glue


def test_outside_a_notebook_it_does_nothing():
    script = "from parallel_ai.toolbox.prose import glue; glue('a', 1)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == done.stderr == ""


def test_in_a_notebook_it_sends_what_myst_nb_reads(monkeypatch):
    import IPython.core.getipython

    monkeypatch.setattr(
        IPython.core.getipython, "get_ipython", lambda: object()
    )
    sent = []
    monkeypatch.setattr(
        "IPython.display.display",
        lambda data, **how: sent.append((data, how)),
    )
    glue("rate", 3.5)
    [(data, how)] = sent
    prefix = "application/papermill.record/"
    assert data == {prefix + "text/plain": "'3.5'"}
    assert how["raw"]
    assert how["metadata"] == {
        "scrapbook": {"name": "rate", "mime_prefix": prefix}
    }


@pytest.mark.parametrize("text", ["12.3 ms", "12,345", "1.50", "it's", "[1]"])
def test_myst_nb_finds_it_and_shows_it_as_it_was(monkeypatch, text):
    import IPython.core.getipython
    import nbformat
    from myst_nb.core.variables import format_plain_text
    from myst_nb.ext.glue import extract_glue_data_cell

    monkeypatch.setattr(
        IPython.core.getipython, "get_ipython", lambda: object()
    )
    outputs = []
    monkeypatch.setattr(
        "IPython.display.display",
        lambda data, metadata, **how: outputs.append(
            nbformat.v4.new_output(
                "display_data", data=data, metadata=metadata
            )
        ),
    )
    glue("rate", text)
    cell = nbformat.v4.new_code_cell(outputs=outputs)
    [(name, output)] = extract_glue_data_cell(cell)
    assert name == "rate"
    assert format_plain_text(output["data"]["text/plain"], "") == text
