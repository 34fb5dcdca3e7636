"""What a run shows while it goes on: a bar that moves, or log lines."""

import sys

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from paddleseg.core import parallel
from paddleseg.utils.logger import logger
from paddleseg.utils.progress_bar import clock, shows_bars


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
    """A bar for the iterations of a training, its losses on the line below; log lines appear above.

    It moves with each iteration. Its figures change when a summary is due: only then is the device read.

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

    def __enter__(self):
        self._redirected = logging_redirect_tqdm([logger])
        self._redirected.__enter__()
        self._bar = tqdm(
            desc="training",
            total=self._iters,
            initial=self._start_iter,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]",
            dynamic_ncols=True,
        )
        self._losses = tqdm(total=0, bar_format="{desc}", dynamic_ncols=True)
        self._show()
        return self

    def __exit__(self, *error):
        # In this order they stay on the screen in their own.
        self._bar.close()
        self._losses.close()
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
        losses = (f"{name} {value:.4f}" for name, value in figures["losses"].items())
        self._losses.set_description_str("  ".join(losses))
        self._show()

    def add_evaluation(self, scores, iteration, ema=False):
        """Show the best mIoU so far of the model."""
        if not ema:
            self._best_miou = max(self._best_miou, scores.miou)
            self._show()

    def _show(self):
        best = [f"best mIoU {self._best_miou:.4f}"] if self._best_miou >= 0 else []
        self._bar.set_postfix_str(", ".join([*self._figures, *best]))
