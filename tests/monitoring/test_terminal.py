"""What a terminal shows of a training."""

import re

import pytest
from running import Scripted, config, train

from paddleseg.monitoring.terminal import Bar, bar_wanted
from paddleseg.utils.logger import logger

FIGURES = {"losses": {"loss": 2.0, "KLLoss": 0.5}, "lr": 0.1, "ips": 8.0, "eta": 61.0}


def test_the_bar_has_all_figures_and_log_lines_stand_above_it(terminal):
    screen = terminal()
    with Bar(iters=20, start_iter=4, best_miou=0.25) as bar:
        for i in range(8):
            bar.advance()
            logger.warning(f"line {i}")
        bar.add_training(FIGURES)
        *lines, first, second = screen.lines()
        assert [line[-6:] for line in lines] == [f"line {i}" for i in range(8)]
        assert re.fullmatch(r"training:  60%  █+░+  12/20  00:00:00<00:01:01  8 img/s", first)
        assert second == "loss 2.0000  lr 0.1  best mIoU 0.2500  KLLoss 0.5000"
    assert screen.lines()[-2:] == [first, second]


def test_a_narrow_terminal_leaves_out_whole_figures_of_the_losses(terminal):
    texts = ["loss 2.0000", "lr 0.1", "best mIoU 0.2500", "KLLoss 0.5000"]
    for columns in range(1, 100):
        screen = terminal(columns)
        with Bar(iters=20, start_iter=4, best_miou=0.25) as bar:
            bar.add_training(FIGURES)
            rows = [row for row in screen.lines() if not row.startswith("training:  20%")]
        fitting = ["  ".join(texts[:k]) for k in range(1, 5) if len("  ".join(texts[:k])) < columns]
        assert rows == fitting[-1:]


def test_the_best_score_is_the_models_own(terminal):
    screen = terminal()
    with Bar(iters=20) as bar:
        assert "mIoU" not in screen.lines()[-1]
        bar.add_evaluation(Scripted(0.5), 4)
        bar.add_evaluation(Scripted(0.75), 4, ema=True)
        assert screen.lines()[-1] == "best mIoU 0.5000"


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
    assert re.match("training: 100%  █+  4/4  ", first)
    assert re.match(r"loss \d\.\d{4}  lr 0\S*  best mIoU 0\.\d{4}  CrossEntropyLoss ", second)
    # What is long goes on in a line of its own; nothing else may stand there.
    whole = re.compile(r"\d{4}-\d\d-\d\d .*\[EVAL\]|\[[\d. ]+\]$|\d*$| ?\S*/best_model$")
    assert [line for line in after[:-2] if not whole.match(line)] == []


@pytest.mark.parametrize(
    ("style", "streams"), [("plain", ["stdout", "stderr"]), ("auto", ["stderr"]), ("bar", [])]
)
def test_without_a_bar_there_are_the_lines_of_paddleseg(tmp_path, root, terminal, lines, style, streams):
    screen = terminal(streams=streams)
    train(tmp_path, config(root, iters=2), no_eval=True, log_style=style)
    assert sum("[TRAIN] epoch: 1, iter: " in line for line in lines) == 2
    assert sum("log_style bar: stderr is no terminal" in line for line in lines) == (style == "bar")
    assert screen.lines() == []


@pytest.mark.parametrize(
    ("style", "streams", "wanted"),
    [
        ("auto", ["stdout", "stderr"], True),
        ("auto", ["stderr"], False),
        ("auto", ["stdout"], False),
        ("bar", ["stderr"], True),
        ("bar", ["stdout"], False),
        ("plain", ["stdout", "stderr"], False),
    ],
)
def test_bars_are_for_terminals_and_rank_0(terminal, monkeypatch, style, streams, wanted):
    terminal(streams=streams)
    assert bar_wanted(style) is wanted
    monkeypatch.setattr("paddleseg.parallel.rank", lambda: 1)
    assert not bar_wanted(style)


def test_an_error_leaves_the_rows_and_the_logger_in_order(terminal):
    screen = terminal()
    handlers = list(logger.handlers)

    def train_in_vain():
        with Bar(iters=20) as bar:
            bar.add_training(FIGURES)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        train_in_vain()
    print("error")
    first, second, last = screen.lines()
    assert (first[:9], second[:11], last) == ("training:", "loss 2.0000", "error")
    assert logger.handlers == handlers
