"""What the terminal cannot hold is paged; a pipe and a short text are not."""

import io
import sys

import pytest

from spon.lineage.screen import write_pages

THREE = "a\nb\nc\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def paged(tmp_path, monkeypatch):
    """The file that the pager of a screen of three lines writes."""
    monkeypatch.setenv("LINES", "3")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("PAGER", f"dd status=none of={tmp_path / 'paged'}")
    return tmp_path / "paged"


def write_to(screen, text, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", screen)
        write_pages(text)
    return screen.getvalue()


def test_a_text_that_the_terminal_cannot_hold_goes_through_the_pager(paged, monkeypatch):
    assert write_to(Terminal(), THREE, monkeypatch) == ""
    assert paged.read_text() == THREE


def test_a_text_that_it_can_hold_with_a_prompt_below_does_not(paged, monkeypatch):
    assert write_to(Terminal(), "a\nb\n", monkeypatch) == "a\nb\n"
    assert not paged.exists()


def test_a_pipe_gets_all_at_once(paged, monkeypatch):
    assert write_to(io.StringIO(), THREE, monkeypatch) == THREE
    assert not paged.exists()


@pytest.mark.parametrize("pager", ["", " ", "cat", "no-such-pager -x"])
def test_without_a_pager_all_is_written_at_once(paged, monkeypatch, pager):
    monkeypatch.setenv("PAGER", pager)
    assert write_to(Terminal(), THREE, monkeypatch) == THREE


def test_a_pager_that_is_left_before_the_end_ends_nothing_else(paged, monkeypatch):
    monkeypatch.setenv("PAGER", "true")
    assert write_to(Terminal(), THREE * 100_000, monkeypatch) == ""
