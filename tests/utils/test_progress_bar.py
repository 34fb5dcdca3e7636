"""A bar on a terminal of any width, log lines elsewhere."""

import contextlib
import re

import pytest

from paddleseg.utils import progress_bar
from paddleseg.utils.logger import logger
from paddleseg.utils.progress_bar import bar, terminal_columns

screens = pytest.importorskip("screens", reason="pseudo-terminals are POSIX's")

SCREENS = pytest.mark.parametrize("screen", [screens.Cutting, screens.Wrapping])
ROWS = {
    10: [],
    20: ["evaluating:  24%"],
    30: ["evaluating:  24%  120/500"],
    40: ["evaluating:  24%  BAR  120/500"],
    60: ["evaluating:  24%  120/500  00:00:20<00:01:03  6 img/s"],
    61: ["evaluating:  24%  BAR  120/500  00:00:20<00:01:03  6 img/s"],
}


@pytest.fixture
def seconds(monkeypatch):
    """A list whose only item is the time, to be set."""
    now = [100.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    return now


def rows_of(screen):
    """Return the rows on a screen, the bar itself as BAR."""
    return [re.sub("  [█░]+  ", "  BAR  ", row) for row in screen.lines()]


@pytest.fixture
def images(terminal, seconds):
    """An evaluation of 500 images, of which 120 took 20 seconds."""

    def make():
        going = bar(range(381), 500, "evaluating", sizes=[120])
        next(going)
        seconds[0] += 20
        stack.callback(going.close)
        return going

    with contextlib.ExitStack() as stack:
        yield make


def test_fast_work_logs_nothing_without_a_terminal(capsys):
    assert list(bar(range(3), label="predicting")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_slow_work_logs_its_progress_every_so_often_without_a_terminal(lines, seconds):
    for _ in bar(iter("abcdefg"), 14, "evaluating", sizes=[3, 2, 3, 1, 2, 1, 2]):
        seconds[0] += progress_bar.SECONDS_BETWEEN_LINES / 2
    assert lines == [
        "evaluating: 5/14, 0.25 img/s, ETA 00:00:36",
        "evaluating: 9/14, 0.225 img/s, ETA 00:00:22",
        "evaluating: 12/14, 0.2 img/s, ETA 00:00:10",
    ]


@pytest.mark.parametrize("columns", ROWS)
def test_a_narrow_terminal_leaves_out_whole_figures(terminal, images, columns):
    screen = terminal(columns)
    next(images())
    assert rows_of(screen) == ROWS[columns]


def test_no_width_cuts_a_figure(terminal, images):
    screen = terminal(100)
    whole = re.compile(r"evaluating:  \d\d%(  █+░+)?(  \d{3}/500(  00:00:20<00:0\d:\d\d(  [\d.]+ img/s)?)?)?")
    for columns, _ in zip(range(17, 100), images()):
        screen.resize(columns)
        logger.warning("line")
        row = screen.lines()[-1]
        assert whole.fullmatch(row), row
        assert len(row) < columns


def test_a_terminal_without_a_width_has_no_bar(terminal):
    screen = terminal(80)
    assert terminal_columns() == 80
    screen.resize(0)
    assert terminal_columns() == 0


def test_a_finished_bar_stays_and_the_logger_is_as_before(terminal):
    screen = terminal()
    handlers = list(logger.handlers)
    assert list(bar(iter("abc"), total=3, label="predicting")) == ["a", "b", "c"]
    print("below")
    row, below = screen.lines()
    assert re.match("predicting: 100%  █+  3/3  ", row)
    assert below == "below"
    assert logger.handlers == handlers


def test_an_empty_bar_ends_at_once(terminal):
    screen = terminal()
    assert list(bar([], label="predicting")) == []
    assert screen.lines()[0].startswith("predicting:")


def test_an_error_within_leaves_the_logger_as_before(terminal):
    terminal()
    handlers = list(logger.handlers)

    def broken():
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(bar(broken(), total=2))
    assert logger.handlers == handlers


@SCREENS
@pytest.mark.parametrize("widths", [(120, 60), (60, 200, 30), (100, 45, 40, 35, 20, 10, 100)])
def test_bars_are_drawn_whole_when_the_width_changes(terminal, images, seconds, screen, widths):
    screen = terminal(widths[0], screen)
    print("above")
    for _ in bar(range(1), label="comparing"):
        evaluated = images()
        for columns in widths:
            screen.resize(columns)
            seconds[0] += 1
            next(evaluated)
            above, *bars = rows_of(screen)
            assert above == "above"
            assert [row.split(":")[0] for row in bars] == ["comparing", "evaluating"][: len(bars)]
            assert len(bars) == (2 if columns > len("evaluating: 100%") else 0)
        evaluated.close()
        assert [row.split(":")[0] for row in screen.lines()] == ["above", "comparing"]
    print("below")
    assert [row.split(":")[0] for row in screen.lines()] == ["above", "comparing", "below"]


@SCREENS
def test_log_lines_stand_whole_above_the_bars(terminal, screen):
    screen = terminal(120, screen)
    for _ in bar(range(1), label="comparing"):
        for k in bar(range(4), label="evaluating"):
            screen.resize(120 - 20 * k)
            logger.warning(f"line {k}")
            *lines, outer, inner = screen.lines()
            assert [line[-6:] for line in lines] == [f"line {i}" for i in range(k + 1)]
            assert outer.startswith("comparing:   0%")
            assert inner.startswith(f"evaluating: {25 * k:3}%")
    assert [line[-6:] for line in screen.lines()[:-1]] == ["line 0", "line 1", "line 2", "line 3"]
