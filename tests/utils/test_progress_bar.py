"""A bar on a terminal, lines elsewhere."""

import io
import os
import struct
import sys

import pytest

from paddleseg.utils import progress_bar
from paddleseg.utils.logger import logger
from paddleseg.utils.progress_bar import ProgressLines, bar, shows_bars


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def seconds(monkeypatch):
    """A list whose only item is the time, to be set."""
    now = [100.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    return now


def test_what_is_quick_says_nothing_where_there_is_no_terminal(capsys):
    assert list(bar(range(3), label="predicting")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_what_is_slow_says_every_so_often_how_far_it_is(capsys, seconds):
    for _ in bar(range(10), label="predicting"):
        seconds[0] += progress_bar.SECONDS_BETWEEN_LINES / 4
    lines = [line.partition("\t")[2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "predicting: 4/10, 0.2 a second, ETA 00:00:30",
        "predicting: 8/10, 0.2 a second, ETA 00:00:10",
    ]


def test_of_batches_the_images_are_counted(capsys, seconds, monkeypatch):
    for _ in bar(iter("abcd"), 11, "evaluating", sizes=[3, 3, 3, 2]):
        seconds[0] += progress_bar.SECONDS_BETWEEN_LINES
    lines = [line.partition("\t")[2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "evaluating: 3/11, 0.15 a second, ETA 00:00:53",
        "evaluating: 6/11, 0.15 a second, ETA 00:00:33",
        "evaluating: 9/11, 0.15 a second, ETA 00:00:13",
    ]
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(bar(iter("abcd"), 11, "evaluating", sizes=[3, 3, 3, 2])) == list("abcd")
    last = sys.stderr.getvalue().split("\r")[-2]
    assert "100%" in last
    assert "11/11" in last
    assert "img/s" in last


def test_a_number_that_is_not_known_is_left_out(capsys, seconds):
    lines = ProgressLines("reading")
    seconds[0] += 40
    lines.advance()
    assert capsys.readouterr().out.endswith("reading: 1, 0.025 a second\n")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="pseudo-terminals are POSIX's")
@pytest.mark.parametrize(("columns", "shown"), [(80, True), (0, False)])
def test_a_terminal_without_a_width_shows_no_bar(columns, shown):
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    main, side = os.openpty()
    try:
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        with open(side, "w", closefd=False) as stream:
            assert shows_bars(stream) is shown
    finally:
        os.close(main)
        os.close(side)


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
