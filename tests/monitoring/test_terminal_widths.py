"""The rows of a training on terminals of any width, and where the width changes meanwhile."""

import contextlib
import re
import threading

import pytest

from paddleseg.monitoring.terminal import Bar
from paddleseg.utils.logger import logger
from paddleseg.utils.progress_bar import Row
from paddleseg.utils.progress_bar import bar as images

screens = pytest.importorskip("screens", reason="pseudo-terminals are POSIX's")

ITERS = 160000
FIGURES = {
    "losses": {"loss": 0.2731, "CrossEntropyLoss": 0.1301, "SegChannelwiseLoss": 0.143},
    "lr": 0.00901,
    "ips": 14.55,
    "eta": 45296,
}
ROWS = {
    5: ("6%",),
    19: ("6% 9999/160000", "loss 0.2731"),
    30: ("training:   6% 9999/160000", "loss 0.2731  ETA 12:34:56"),
    35: ("training:   6% 9999/160000", "loss 0.2731  ETA 12:34:56"),
    38: ("training:   6% 9999/160000", "loss 0.2731  ETA 12:34:56"),
    40: ("training:   6% 9999/160000", "loss 0.2731  ETA 12:34:56  14.55 img/s"),
    42: ("training:   6% 9999/160000 [00:00]", "loss 0.2731  ETA 12:34:56  14.55 img/s"),
    45: ("training:   6% 9999/160000 [00:00]", "loss 0.2731  ETA 12:34:56  14.55 img/s"),
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
    120: (
        "training:   6%|BAR| 9999/160000 [00:00, ETA 12:34:56, 14.55 img/s, lr 0.00901, best mIoU 0.7412]",
        "loss 0.2731  CrossEntropyLoss 0.1301  SegChannelwiseLoss 0.1430",
    ),
}
ROWS[200] = ROWS[120]
IMAGE_ROWS = {
    5: "24%",
    14: "24% 120/500",
    30: "evaluating:  24% 120/500",
    35: "evaluating:  24% 120/500",
    40: "evaluating:  24% 120/500 [00:20<01:03]",
    45: "evaluating:  24%|BAR| 120/500 [00:20<01:03]",
    60: "evaluating:  24%|BAR| 120/500 [00:20<01:03,  6.00img/s]",
}
IMAGE_ROWS[100] = IMAGE_ROWS[60]
SCREENS = pytest.mark.parametrize("screen", [screens.Cutting, screens.Breaking])


def seen(screen):
    """Return the rows on a screen, the bar itself as BAR and what has gone by in this test as no time."""
    rows = [re.sub(r"\|[█▏▎▍▌▋▊▉ ]+\|", "|BAR|", row).lstrip() for row in screen.lines()]
    return tuple(re.sub(r"\[00:0\d", "[00:00", row) for row in rows)


def begun():
    return Bar(iters=ITERS, start_iter=9999, best_miou=0.7412)


def redrawn(bar):
    """Let the bar be drawn at the next iteration, however soon that is, and that be the one before."""
    bar._bar.mininterval = 0
    bar._bar.n = bar._bar.last_print_n = 9998
    bar.advance()


@pytest.mark.parametrize("columns", ROWS)
def test_what_has_no_room_is_left_out_whole(terminal, columns):
    screen = terminal(columns)
    with begun() as bar:
        bar.add_training(FIGURES)
        assert seen(screen) == ROWS[columns]
    assert seen(screen) == ROWS[columns]


def test_no_width_cuts_a_figure_even_at_the_end_of_a_long_run(terminal):
    whole = re.compile(
        r"(training: )?100%(\|█+\|)?( 160000/160000( \[100:00:0\d(, [^,\]]+)*\])?)?"
        r"|loss 0\.2731(  (ETA 12:34:56|14\.55 img/s|lr 0\.00901|best mIoU 0\.7412|\w+Loss 0\.1[43]\d\d))*"
    )
    for columns in range(5, 200):
        screen = terminal(columns)
        with begun() as bar:
            bar._bar.start_t -= 100 * 3600
            bar._bar.n = ITERS
            bar.add_training(FIGURES)
            rows = screen.lines()
        assert len(rows) == (2 if columns > len("loss 0.2731") else 1)
        assert [row for row in rows if not whole.fullmatch(row)] == []


def test_a_bar_takes_no_thread(terminal):
    terminal(100)
    with begun():
        for _ in images(range(2), label="evaluating"):
            # Not their number: a class whose bars have begun one in an earlier test begins no other.
            drawing = [getattr(thread, "tqdm_cls", object) for thread in threading.enumerate()]
            assert [kind for kind in drawing if issubclass(kind, Row)] == []


def test_a_slow_iteration_is_drawn_even_after_many_fast_ones(terminal):
    screen, now = terminal(100), [0.0]
    with begun() as bar:
        bar._bar._time = lambda: now[0]
        bar._bar.start_t = bar._bar.last_print_t = 0.0
        for _ in range(1050):
            now[0] += 0.001
            bar.advance()
        now[0] += 60
        bar.advance()
        assert "| 11050/160000 [01:01" in screen.lines()[0]


@SCREENS
@pytest.mark.parametrize(
    "widths",
    [(120, 60), (100, 60, 100), (200, 50, 80), (60, 200), (80, 38, 30, 50), (100, 45, 40, 35, 30)],
)
def test_a_terminal_of_another_width_is_drawn_anew(terminal, screen, widths):
    shown = terminal(widths[0], screen)
    print("above")
    with begun() as bar:
        bar.add_training(FIGURES)
        for columns in widths:
            shown.resize(columns)
            redrawn(bar)
            assert seen(shown) == ("above", *ROWS[columns])
    print("below")
    assert seen(shown) == ("above", *ROWS[columns], "below")


@SCREENS
def test_a_line_logged_at_another_width_stands_above_the_rows(terminal, screen):
    shown = terminal(120, screen)
    with begun() as bar:
        bar.add_training(FIGURES)
        shown.resize(60)
        logger.warning("look")
        above, *rows = seen(shown)
        assert above.endswith("look")
        assert tuple(rows) == ROWS[60]


@SCREENS
def test_a_training_that_ends_at_another_width_leaves_its_rows(terminal, screen):
    shown = terminal(120, screen)
    with begun() as bar:
        bar.add_training(FIGURES)
        shown.resize(60)
    print("below")
    assert seen(shown) == (*ROWS[60], "below")


@SCREENS
@pytest.mark.parametrize("drawn_at", ["beginning", "middle", "end"])
def test_an_evaluation_meanwhile_is_drawn_anew_with_the_training(terminal, screen, drawn_at):
    shown = terminal(120, screen)
    with begun() as bar:
        bar.add_training(FIGURES)
        if drawn_at == "beginning":
            shown.resize(60)
        for k, _ in enumerate(images(range(4), label="evaluating")):
            if k == 2:
                if drawn_at == "middle":
                    shown.resize(60)
                (row,) = (row for row in bar._bar._instances if row.desc == "evaluating")
                row.refresh()
                *rows, third = seen(shown)
                assert tuple(rows) == ROWS[120 if drawn_at == "end" else 60]
                assert re.match(r"evaluating:  50%\|BAR\| 2/4 \[00:00<", third)
            if k == 3 and drawn_at == "end":
                shown.resize(60)
        assert seen(shown) == ROWS[60]


@contextlib.contextmanager
def evaluated():
    """Yield the row of 120 images of 500 after 20 seconds; time stands still."""
    going = images(range(500), label="evaluating")
    next(going)
    (row,) = (row for row in Row._instances if row.desc == "evaluating")
    row.start_t, row._time = 0.0, lambda: 20.0
    row.n = 120
    row._ema_dn = row._ema_dt = lambda x=None: 0  # so that its speed is the mean
    row.refresh()
    try:
        yield row
    finally:
        going.close()


@pytest.mark.parametrize("columns", IMAGE_ROWS)
def test_an_evaluations_figures_are_left_out_whole(terminal, columns):
    screen = terminal(columns)
    with evaluated():
        assert seen(screen) == (IMAGE_ROWS[columns],)


def test_no_width_cuts_a_figure_of_an_evaluation(terminal):
    whole = re.compile(
        r"evaluating:  24%(\|[█▏▎▍▌▋▊▉ ]+\|)? 120/500( \[00:20<01:03(,  6\.00img/s)?\])?| 24%( 120/500)?"
    )
    screen = terminal(100)
    with evaluated() as row:
        for columns in range(5, 100):
            screen.resize(columns)
            row.refresh()
            (shown,) = screen.lines()
            assert whole.fullmatch(shown), (columns, shown)


@SCREENS
@pytest.mark.parametrize("columns", [30, 35, 40, 45])
def test_a_narrower_terminal_tears_no_evaluation(terminal, screen, columns):
    shown = terminal(100, screen)
    with begun() as bar:
        bar.add_training(FIGURES)
        with evaluated() as row:
            assert seen(shown) == (*ROWS[100], IMAGE_ROWS[100])
            for width in (columns, 100, columns):
                shown.resize(width)
                row.refresh()
                assert seen(shown) == (*ROWS[width], IMAGE_ROWS[width])


@SCREENS
@pytest.mark.parametrize("columns", [30, 35, 40, 45])
def test_a_narrower_terminal_tears_no_evaluation_that_stands_alone(terminal, screen, columns):
    shown = terminal(100, screen)
    print("above")
    with evaluated() as row:
        for width in (columns, 100, columns):
            shown.resize(width)
            row.refresh()
            assert seen(shown) == ("above", IMAGE_ROWS[width])
