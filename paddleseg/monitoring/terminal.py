"""What a training shows while it goes on: a bar and its losses on a terminal, or log lines."""

import contextlib
import sys

from paddleseg import parallel
from paddleseg.utils.logger import logger
from paddleseg.utils.progress_bar import ProgressBar, terminal_columns


def bar_wanted(style):
    """Return whether this process shows progress bars, which go to stderr.

    Args:
        style: "auto", a bar if stdout and stderr are terminals; "bar", if stderr is one; or "plain".
    """
    shown = style != "plain" and parallel.rank() == 0 and terminal_columns() > 0
    return shown and (style == "bar" or sys.stdout.isatty())


class Lines(contextlib.nullcontext):
    """A log line for each summary of a training.

    Args:
        line: a function from a `Progress.summary` to its line.
    """

    def __init__(self, line):
        super().__init__()
        self._line = line

    def advance(self):
        """Count an iteration as done."""

    def add_training(self, figures):
        """Log a `Progress.summary`."""
        logger.info(self._line(figures))

    def add_evaluation(self, scores, iteration, ema=False):
        """Do nothing: the evaluation logs its scores itself."""


class Bar(ProgressBar):
    """A bar that counts the iterations of a training, with a row of losses below.

    The figures change with each summary: only then is the device read.

    Args:
        iters: the last iteration.
        start_iter: iterations that are done already. Default 0.
        best_miou: the best score of the run so far; None or below 0 if there is none. Default None.
    """

    def __init__(self, iters, start_iter=0, best_miou=None):
        super().__init__("training", iters, start_iter)
        self._best_miou = -1.0 if best_miou is None else best_miou
        self._figures = None

    def pace(self):
        """Return the seconds that are left and the images a second; None where they are not known yet."""
        return self._figures and (self._figures["eta"], self._figures["ips"])

    def texts_below(self):
        """Return the texts of the row below the bar, the total loss first and its parts last."""
        best = [f"best mIoU {self._best_miou:.4f}"] if self._best_miou >= 0 else []
        if self._figures is None:
            return best
        total, *parts = [f"{name} {value:.4f}" for name, value in self._figures["losses"].items()]
        return [total, f"lr {self._figures['lr']:.3g}", *best, *parts]

    def add_training(self, figures):
        """Show a `Progress.summary`."""
        self._figures = figures
        self.draw()

    def add_evaluation(self, scores, iteration, ema=False):
        """Show the best mIoU of the model so far; that of its moving average does not count."""
        if not ema:
            self._best_miou = max(self._best_miou, scores.miou)
            self.draw()
