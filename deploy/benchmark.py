"""The time that a model, and what comes before and after it, takes."""

import collections
import contextlib
import time

import numpy as np
from errors import ImageError, one_line

PERCENTILES = (50, 90, 95, 99)
MOST_SIZES = 10  # that are listed


class Clock:
    """Runs a model, and collects seconds.

    Args:
        run: a function from float32 N x C x H x W to the model's output.
        warmup: runs that do not count, before the first batch or, with `each_shape`, before each new shape.
        repeats: runs of each batch, all of which count. Default 1.
        each_shape: whether to warm up for each new shape of a batch. Default False.
    """

    def __init__(self, run, warmup, repeats=1, each_shape=False):
        self.run, self.warmup, self.repeats, self.each_shape = run, warmup, repeats, each_shape
        self.seconds = collections.defaultdict(list)  # {shape of a batch: the seconds of its runs}
        self.seconds_beside = collections.defaultdict(list)  # {"read" or "write": seconds of an image}

    def __call__(self, batch):
        """Return the model's output for a batch.

        Raises:
            ImageError: the model does not run on it.
        """
        seconds = []
        warm = batch.shape in self.seconds if self.each_shape else self.seconds
        try:
            for _ in range(0 if warm else self.warmup):
                self.run(batch)
            for _ in range(self.repeats):
                started = time.perf_counter()
                output = self.run(batch)
                seconds.append(time.perf_counter() - started)
        except Exception as error:  # the libraries have their own classes
            size = " x ".join(map(str, batch.shape))
            raise ImageError(f"the model does not run on an input of {size}: {one_line(error)}") from error
        self.seconds[batch.shape] += seconds
        return output

    @contextlib.contextmanager
    def beside(self, name):
        """Time what is done for an image beside the model, "read" or "write", unless it fails."""
        started = time.perf_counter()
        yield
        self.seconds_beside[name].append(time.perf_counter() - started)

    def latency(self, batch_size):
        """Return the line about the seconds that an image takes in the model."""
        seconds = [s / shape[0] for shape, of_shape in self.seconds.items() for s in of_shape]
        spread = f"{1000 * min(seconds):.1f} to {1000 * max(seconds):.1f}"
        each = f" an image in batches of {batch_size}" if batch_size > 1 else ""
        return f"latency of the model alone: median {1000 * np.median(seconds):.1f} ms ({spread} ms){each}"

    def table(self, what):
        """Return the lines of a benchmark: percentiles for each shape of a batch, the most frequent first.

        Args:
            what: the model and what computes it, for the first line.
        """
        lines = [f"benchmark of {what}: ms a batch, warm-up runs: {self.warmup}"]
        head = ["input", "runs", "mean", *(f"p{percent}" for percent in PERCENTILES), "images/s"]
        lines.append(f"{head[0]:<20}" + "".join(f"{name:>9}" for name in head[1:]))
        by_count = sorted(self.seconds.items(), key=lambda item: -len(item[1]))
        for shape, seconds in by_count[:MOST_SIZES]:
            numbers = [np.mean(seconds), *np.percentile(seconds, PERCENTILES)]
            rate = shape[0] / numbers[0]
            row = f"{' x '.join(map(str, shape)):<20}{len(seconds):>9}"
            lines.append(row + "".join(f"{1000 * number:>9.1f}" for number in numbers) + f"{rate:>9.1f}")
        if len(by_count) > MOST_SIZES:
            lines.append(f"and {len(by_count) - MOST_SIZES} other shapes")
        read, write = (1000 * np.median(self.seconds_beside[name]) for name in ("read", "write"))
        lines.append(
            f"beside the model, an image takes {read:.1f} ms to read and prepare, {write:.1f} ms to write"
        )
        return lines
