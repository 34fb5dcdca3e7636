"""What stands on a terminal while a training goes on."""

import io
import os
import re
import struct
import sys

import pyte
import pytest
from running import config, train

from paddleseg.core import runs
from paddleseg.core.terminal import Bar, bar_wanted
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger

fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")

FIGURES = {"losses": {"loss": 2.0, "KLLoss": 0.5}, "lr": 0.1, "ips": 8.0, "eta": 61.0}


class Screen(io.StringIO):
    """A terminal of more lines than any test writes, whose width is that of a pseudo-terminal."""

    def __init__(self, columns=100, handle=None):
        super().__init__()
        self._handle = handle
        self._screen = pyte.Screen(columns, 200)
        self.resize(columns)
        self._screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.Stream(self._screen)

    def isatty(self):
        return True

    def fileno(self):
        return super().fileno() if self._handle is None else self._handle

    def resize(self, columns):
        self._screen.resize(columns=columns)
        if self._handle is not None:
            fcntl.ioctl(self._handle, termios.TIOCSWINSZ, struct.pack("HHHH", 200, columns, 0, 0))

    def write(self, text):
        self._stream.feed(text)
        return len(text)

    def lines(self):
        return [line.rstrip() for line in self._screen.display if line.strip()]


@pytest.fixture
def terminal(monkeypatch):
    """Make stdout and stderr one terminal; within the test, since pytest sets them itself before."""
    handles = os.openpty()

    def make(columns=100):
        screen = Screen(columns, handles[1])
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setattr(sys, "stderr", screen)
        return screen

    yield make
    for handle in handles:
        os.close(handle)


def test_the_bar_has_all_figures_and_log_lines_stand_above_it(terminal):
    screen = terminal()
    with Bar(iters=20, start_iter=4, best_miou=0.25) as bar:
        for i in range(8):
            bar.advance()
            logger.warning(f"line {i}")
        bar.add_training(FIGURES)
        bar._bar.refresh()
        *told, first, second = screen.lines()
        assert [line[-6:] for line in told] == [f"line {i}" for i in range(8)]
        assert "12/20" in first
        assert "60%" in first
        assert "ETA 00:01:01, 8 img/s, lr 0.1, best mIoU 0.2500" in first
        assert second == "loss 2.0000  KLLoss 0.5000"
    assert screen.lines()[-2:] == [first, second]


LONG = {
    "losses": {"loss": 0.2731, "CrossEntropyLoss": 0.1301, "SegChannelwiseLoss": 0.143},
    "lr": 0.00901,
    "ips": 14.55,
    "eta": 45296,
}


LOSSES = "CrossEntropyLoss 0.1301", "SegChannelwiseLoss 0.1430"
ROWS = {
    38: ("training:   6%|BAR| 9999/160000 [00:00]", "loss 0.2731  ETA 12:34:56"),
    50: ("training:   6%|BAR| 9999/160000 [00:00]", "loss 0.2731  ETA 12:34:56  14.55 img/s"),
    60: (
        "training:   6%|BAR| 9999/160000 [00:00, ETA 12:34:56]",
        "loss 0.2731  14.55 img/s  lr 0.00901  best mIoU 0.7412",
    ),
    80: (
        "training:   6%|BAR| 9999/160000 [00:00, ETA 12:34:56, 14.55 img/s]",
        "loss 0.2731  lr 0.00901  best mIoU 0.7412  CrossEntropyLoss 0.1301",
    ),
    100: (
        "training:   6%|BAR| 9999/160000 [00:00, ETA 12:34:56, 14.55 img/s, lr 0.00901]",
        "loss 0.2731  best mIoU 0.7412  CrossEntropyLoss 0.1301  SegChannelwiseLoss 0.1430",
    ),
    200: (
        "training:   6%|BAR| 9999/160000 [00:00, ETA 12:34:56, 14.55 img/s, lr 0.00901, best mIoU 0.7412]",
        "loss 0.2731  CrossEntropyLoss 0.1301  SegChannelwiseLoss 0.1430",
    ),
}


def drawn(screen):
    """Return the rows on a screen, the bar itself as BAR and what has gone by in this test as no time."""
    rows = [re.sub(r"\|[█▏▎▍▌▋▊▉#\d ]+\|", "|BAR|", row) for row in screen.lines()]
    return [re.sub(r"\[00:0\d", "[00:00", row) for row in rows]


@pytest.mark.parametrize("columns", ROWS)
def test_what_has_no_room_is_left_out_whole(terminal, columns):
    screen = terminal(columns)
    with Bar(iters=160000, start_iter=9999, best_miou=0.7412) as bar:
        bar.add_training(LONG)
        assert tuple(drawn(screen)) == ROWS[columns]
        assert len(screen.lines()[0]) <= columns
    assert tuple(drawn(screen)) == ROWS[columns]


def test_the_total_loss_is_the_last_to_go(terminal):
    screen = terminal(20)
    with Bar(iters=160000, start_iter=9999, best_miou=0.7412) as bar:
        bar.add_training(LONG)
        assert screen.lines()[1] == "loss 0.2731"


@pytest.mark.parametrize("widths", [(100, 60, 100), (200, 50, 80), (60, 200), (80, 38, 50)])
def test_a_terminal_of_another_width_is_drawn_anew(terminal, widths):
    screen = terminal(widths[0])
    with Bar(iters=160000, start_iter=9999, best_miou=0.7412) as bar:
        bar.add_training(LONG)
        bar._bar.mininterval = 0  # draw at the very next iteration
        for columns in widths:
            screen.resize(columns)
            bar._bar.n = 9998
            bar.advance()
            assert tuple(drawn(screen)) == ROWS[columns]


def test_the_best_score_is_the_models_own(terminal):
    screen = terminal()

    class Scores:
        miou = 0.5

    with Bar(iters=20) as bar:
        assert "mIoU" not in screen.lines()[-1]
        bar.add_evaluation(Scores, 4)
        Scores.miou = 0.75
        bar.add_evaluation(Scores, 4, ema=True)
        assert any("best mIoU 0.5000" in line for line in screen.lines())


def test_a_whole_training_leaves_an_untorn_screen(tmp_path, root, terminal):
    screen = terminal()
    handlers = list(logger.handlers)
    train(tmp_path, config(root, iters=4), log_style="auto")
    assert logger.handlers == handlers
    lines = screen.lines()
    assert not any("[TRAIN]" in line for line in lines)
    after = lines[next(i for i, line in enumerate(lines) if "[EVAL]" in line) :]
    assert sum("#Images: 5 mIoU" in line for line in after) == 2
    first, second = after[-2:]
    assert first.startswith("training: 100%|")
    assert "4/4" in first
    assert "best mIoU 0." in first
    assert second.startswith("loss ")
    # What is long goes on in a line of its own; nothing else may stand there.
    whole = re.compile(r"\d{4}-\d\d-\d\d .*\[EVAL\]|\[[\d. ]+\]$|\d*$| ?\S*/best_model$")
    assert [line for line in after[:-2] if not whole.match(line)] == []


@pytest.mark.parametrize("flags", [{"log_style": "plain"}, {}])
def test_plain_lines_are_paddlesegs(tmp_path, root, terminal, monkeypatch, flags):
    screen = terminal()
    if not flags:
        monkeypatch.setattr(sys, "stdout", out := io.StringIO())
        flags = {"log_style": "auto"}
    train(tmp_path, config(root, iters=2), no_eval=True, **flags)
    told = out.getvalue().splitlines() if flags["log_style"] == "auto" else screen.lines()
    assert sum("[TRAIN] epoch: 1, iter: " in line for line in told) == 2
    assert not any("training: " in line for line in screen.lines())


@pytest.mark.parametrize(
    ("style", "stdout", "stderr", "wanted"),
    [
        ("auto", True, True, True),
        ("auto", False, True, False),
        ("auto", True, False, False),
        ("bar", False, True, True),
        ("bar", True, False, False),
        ("plain", True, True, False),
    ],
)
def test_bars_are_for_terminals(monkeypatch, style, stdout, stderr, wanted):
    monkeypatch.setattr(sys, "stdout", Screen() if stdout else io.StringIO())
    monkeypatch.setattr(sys, "stderr", Screen() if stderr else io.StringIO())
    assert bar_wanted(style) is wanted


def test_a_bar_without_a_terminal_is_told_once(tmp_path, root, lines):
    train(tmp_path, config(root, iters=2), log_style="bar")
    assert sum("--log_style bar: stderr is no terminal" in line for line in lines) == 1
    assert sum("[TRAIN]" in line for line in lines) == 2


def test_other_ranks_show_nothing(terminal, monkeypatch):
    terminal()
    monkeypatch.setattr("paddleseg.core.parallel.rank", lambda: 1)
    assert not bar_wanted("bar")


def test_an_error_within_leaves_the_bars_and_the_logger_in_order(tmp_path, root, terminal, monkeypatch):
    screen = terminal()
    handlers = list(logger.handlers)
    monkeypatch.setattr(runs, "_num_classes", lambda builder: 3)
    with pytest.raises(UserError, match="must be N x 3"):
        train(tmp_path, config(root, iters=2), log_style="bar")
    print("error")
    assert logger.handlers == handlers
    assert screen.lines()[-1] == "error"
