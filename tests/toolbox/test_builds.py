"""Books to compare: alike but for the extensions, and honest about staleness."""

import pytest

from parallel_ai.toolbox import builds


def test_ours_is_fresh_after_an_edit_where_stock_is_stale():
    for ours, expected in ((False, "1"), (True, "2")):
        with builds.small(1, ours, builds.EXECUTED) as book:
            assert book.build() > 0
            book.edit_module()
            book.build()
            html = book.shown()
            assert f"<pre>{expected}\n</pre>" in html.replace(
                "<span></span>", ""
            )


def test_an_edited_sentence_is_shown_by_both():
    for ours in (False, True):
        with builds.small(1, ours) as book:
            book.build()
            book.edit_sentence()
            book.build()
            assert "A new sentence" in book.shown()
            root = book.root
        assert not root.exists()


def test_a_failing_build_says_why():
    with builds.small(1, True) as book:
        (book.root / "_toc.yml").write_text("root: [")
        with pytest.raises(builds.BuildError, match="_toc"):
            book.build()


def test_a_package_without_its_repository_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(builds, "ROOT", tmp_path)
    with (
        pytest.raises(builds.BuildError, match="checkout"),
        builds.small(1, True),
    ):
        pass
