"""What a run shows while it goes on: a bar that moves, or log lines."""

import itertools
import sys

from tqdm.contrib.logging import logging_redirect_tqdm

from paddleseg import parallel
from paddleseg.utils.logger import logger
from paddleseg.utils.progress_bar import COUNTS, SHORTEST_BAR, Row, clock, shows_bars

# The row of the bar, for ever narrower terminals.
FORMS = (
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]",
    "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} [{elapsed}]",
    *COUNTS,
)
GAP = 2  # columns between figures
UNKNOWN_WIDTH = 1000  # columns where the terminal does not tell


def bar_wanted(style):
    """Tell whether this process shows progress bars, which go to stderr.

    Args:
        style: "auto", a bar if stdout and stderr are terminals; "bar", if stderr is one; or "plain". A
            terminal without a width counts as none.
    """
    if style == "plain" or parallel.rank() != 0:
        return False
    return shows_bars(sys.stderr) and (style == "bar" or sys.stdout.isatty())


class Lines:
    """A log line for each summary of a training.

    Args:
        line: a summary to its line.
    """

    def __init__(self, line):
        self._line = line

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def advance(self):
        """An iteration is done."""

    def add_training(self, figures):
        """Log a `Progress.summary`."""
        logger.info(self._line(figures))

    def add_evaluation(self, scores, iteration, ema=False):
        """Say nothing: an evaluation logs its own scores."""


class Bar:
    """A bar for the iterations of a training, its losses on the row below; log lines appear above.

    It moves with each iteration. Its figures change when a summary is due: only then is the device read.
    Those that have no room behind the bar stand in the row below, after the total loss and before its parts,
    and of that row the last are left out. A terminal too narrow for the bar itself has the count alone. No
    figure is cut off in its middle.

    Args:
        iters: the last iteration.
        start_iter: iterations that are done already.
        best_miou: of the run so far; None or below 0 if there is none.
    """

    def __init__(self, iters, start_iter=0, best_miou=None):
        self._iters = iters
        self._start_iter = start_iter
        self._best_miou = -1.0 if best_miou is None else best_miou
        self._figures = []
        self._losses = []

    def __enter__(self):
        self._redirected = logging_redirect_tqdm([logger])
        self._redirected.__enter__()
        self._bar = _FittedRow(
            lambda n: {"bar_format": self._form(n), "postfix": ", ".join(self._split(n)[0])},
            desc="training",
            total=self._iters,
            initial=self._start_iter,
        )
        self._below = _FittedRow(
            lambda n: {"prefix": "  ".join(self._split(n)[1])},
            total=0,
            bar_format="{desc}",
        )
        return self

    def __exit__(self, *error):
        # In this order they stay on the screen in their own.
        self._bar.close()
        self._below.close()
        self._redirected.__exit__(*error)

    def advance(self):
        """An iteration is done."""
        self._bar.update()

    def add_training(self, figures):
        """Show a `Progress.summary`."""
        self._figures = [
            f"ETA {clock(figures['eta'])}",
            f"{figures['ips']:.4g} img/s",
            f"lr {figures['lr']:.3g}",
        ]
        self._losses = [f"{name} {value:.4f}" for name, value in figures["losses"].items()]
        self._show()

    def add_evaluation(self, scores, iteration, ema=False):
        """Show the best mIoU so far of the model."""
        if not ema:
            self._best_miou = max(self._best_miou, scores.miou)
            self._show()

    def _show(self):
        self._bar.refresh()
        self._below.refresh()

    def _form(self, columns):
        return next((form for form in FORMS if self._widest(form) <= columns), FORMS[-1])

    def _widest(self, form):
        # By the largest count and time, so that figures do not change their row as these grow.
        count, bar = str(self._iters), " " * SHORTEST_BAR
        said = {"desc": "training", "percentage": 100, "elapsed": "100:00:00", "postfix": ""}
        return len(form.format(bar=bar, n_fmt=count, total_fmt=count, **said))

    def _split(self, columns):
        """Return the texts behind the bar and those beneath it."""
        figures = list(self._figures)
        if self._best_miou >= 0:
            figures.append(f"best mIoU {self._best_miou:.4f}")
        behind = _fitting(figures, columns - self._widest(FORMS[0]))
        beneath = [*self._losses[:1], *figures[len(behind) :], *self._losses[1:]]
        return behind, _fitting(beneath, columns + GAP)


class _FittedRow(Row):
    """A row whose texts are chosen anew whenever it is drawn, by the width that the terminal then has.

    Args:
        texts: the columns that there are to those of tqdm's own texts that it decides.
    """

    def __init__(self, texts, **kwargs):
        self._texts = texts
        super().__init__(**kwargs)

    @property
    def format_dict(self):
        """What tqdm draws the row from."""
        said = super().format_dict
        columns = said["ncols"]  # one less than the terminal has
        return {**said, **self._texts(UNKNOWN_WIDTH if columns is None else columns)}


def _fitting(figures, columns):
    """Return the first of some texts, as many as fit into `columns` with a gap each."""
    ends = itertools.accumulate(len(text) + GAP for text in figures)
    return [text for text, end in zip(figures, ends) if end <= columns]
