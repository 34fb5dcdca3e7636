"""The bar that a terminal shows of a training."""

import sys

from paddleseg import parallel
from paddleseg.utils.progress_bar import ProgressBar, terminal_columns


def bar_wanted(style):
    """Return whether this process shows progress bars, which go to stderr.

    Args:
        style: "auto", a bar if stdout and stderr are terminals; "bar", if stderr is one; or "plain".
    """
    shown = style != "plain" and parallel.rank() == 0 and terminal_columns() > 0
    return shown and (style == "bar" or sys.stdout.isatty())


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
        self._figures = {"ips": 0, "eta": 0, "losses": {}}
        self._best_miou = -1.0 if best_miou is None else best_miou
        self._show()

    def pace(self):
        """Return the images a second and the seconds that are left, 0 where they are not known yet."""
        return self._figures["ips"], self._figures["eta"]

    def add_training(self, figures):
        """Show a `Progress.summary`."""
        self._figures = figures
        self._show()
        self.draw()

    def add_evaluation(self, scores, iteration, ema=False):
        """Show the best mIoU of the model so far; that of its moving average does not count."""
        if not ema:
            self._best_miou = max(self._best_miou, scores.miou)
            self._show()
            self.draw()

    def _show(self):
        losses = [f"{name} {value:.4f}" for name, value in self._figures["losses"].items()]
        best = [f"best mIoU {self._best_miou:.4f}"] if self._best_miou >= 0 else []
        lr = [f"lr {self._figures['lr']:.3g}"] if losses else []
        self._below = [*losses[:1], *lr, *best, *losses[1:]]
