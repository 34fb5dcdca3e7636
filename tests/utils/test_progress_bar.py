"""A bar on a terminal, nothing elsewhere."""

import io
import sys

import pytest

from paddleseg.utils.logger import logger
from paddleseg.utils.progress_bar import bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_nothing_is_written_where_there_is_no_terminal(capsys):
    assert list(bar(range(3), label="predicting")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_how_far_it_is(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(bar(iter("abc"), total=3, label="predicting")) == ["a", "b", "c"]
    shown = sys.stderr.getvalue()
    assert "predicting: 100%" in shown
    assert "3/3" in shown


def test_log_lines_appear_apart_from_the_bar_and_the_logger_is_left_as_it_was(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", screen)
    handlers = list(logger.handlers)
    for _ in bar(range(2), label="predicting"):
        logger.warning("look")
    lines = [line.rpartition("\r")[2] for line in screen.getvalue().splitlines()]
    assert sum(line.endswith("[WARNING]\tlook") for line in lines) == 2
    assert logger.handlers == handlers


def test_an_error_within_puts_the_logger_back(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    handlers = list(logger.handlers)

    def broken():
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(bar(broken()))
    assert logger.handlers == handlers
