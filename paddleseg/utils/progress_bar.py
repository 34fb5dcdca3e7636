"""Progress: a bar at the bottom of a terminal, or a log line every so often elsewhere."""

import contextlib
import itertools
import logging
import os
import sys
import time

from paddleseg.utils.logger import logger

SECONDS_BETWEEN_LINES = 20
SECONDS_BETWEEN_DRAWINGS = 0.1
CLEAR, UP = "\r\x1b[J", "\x1b[A"  # of ECMA-48; the first clears the cursor's row and all below it
GAP = "  "
SHORTEST_BAR = 5  # columns


def terminal_columns():
    """Return the width of the terminal behind stderr; 0 if there is none, or none that can be drawn on."""
    try:
        drawable = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        return os.get_terminal_size(sys.stderr.fileno()).columns if drawable else 0
    except (OSError, ValueError):  # stderr is closed or, as in a notebook, no file
        return 0


def bar(iterable, total=None, label="", wanted=True, sizes=None):
    """Yield the items of an iterable; meanwhile show how many images are done.

    Args:
        iterable: images or batches.
        total: number of images. Default: the length of the iterable.
        label: what is being done, such as "evaluating".
        wanted: if false, log lines on a terminal, too. Default True.
        sizes: number of images of each item. Default: one each.
    """
    shown = ProgressBar(label, len(iterable) if total is None else total)
    with shown if wanted and terminal_columns() else contextlib.nullcontext():
        # Every item is yielded, also one without a size.
        for item, size in zip(iterable, itertools.chain(sizes or (), itertools.repeat(1))):
            yield item
            shown.advance(size)


class ProgressBar(logging.Handler):
    """How many of `total` images are done: within a `with` a bar on the terminal of stderr, else log lines.

    What is logged appears above the bar. The bar stays on the screen in the end, unless it is below another.
    The cursor waits at the start of the first row. To clear all from there is right even after the width has
    changed, whether the terminal then wraps its rows or cuts them off.
    """

    def __init__(self, label, total, done=0):
        super().__init__()
        self._label, self._total, self._done = label, total, done
        self._start = self._shown = time.monotonic()
        self._handlers = []  # the logger's own, while this object is in their place
        self._above = None  # another bar
        self._below = []  # the texts of a second row

    def pace(self):
        """Return the images a second and the seconds that are left, 0 where they are not known yet."""
        speed = self._done / max(time.monotonic() - self._start, 1e-9)
        return speed, (self._total - self._done) / speed if speed else 0

    def advance(self, count=1):
        """Count images as done; draw or log that if the last time is long enough ago."""
        self._done += count
        seconds = time.monotonic() - self._shown
        if self._handlers and seconds >= SECONDS_BETWEEN_DRAWINGS:
            self.draw()
        elif not self._handlers and seconds >= SECONDS_BETWEEN_LINES and self._done < self._total:
            self._shown = time.monotonic()
            speed, left = self.pace()
            logger.info(f"{self._label}: {self._done}/{self._total}, {speed:.3g} img/s, ETA {clock(left)}")

    def draw(self, end=None):
        """Draw the rows of all bars; then put the cursor at their start, or write `end`."""
        with self.lock:
            self._shown = time.monotonic()
            rows = self._rows(terminal_columns() - 1)  # a row that fills the last column may be wrapped
            _write("\n".join(rows) + (UP * (len(rows) - 1) + "\r" if end is None else end))

    def emit(self, record):
        """Hand a record on to the logger's own handlers, above the bars."""
        _write("")
        for handler in self._handlers:
            if record.levelno >= handler.level:
                handler.handle(record)
        self.draw()

    def __enter__(self):
        if os.name == "nt":
            os.system("")  # makes a console of Windows obey `CLEAR` and `UP`
        self._handlers, logger.handlers = logger.handlers, [self]
        self._above = next((it for it in self._handlers if isinstance(it, ProgressBar)), None)
        self.draw()
        return self

    def __exit__(self, *error):
        logger.handlers = self._handlers
        self.draw(end="\n") if self._above is None else self._above.draw()

    def _rows(self, columns):
        share = self._done / max(self._total, 1)
        texts = [f"{self._label}: {share:4.0%}", f"{self._done}/{self._total}"]
        speed, left = self.pace()
        if speed:
            texts += [f"{clock(time.monotonic() - self._start)}<{clock(left)}", f"{speed:.4g} img/s"]
        texts = _fitting(texts, columns)
        room = columns - len(GAP.join([*texts, ""]))
        if texts and room >= SHORTEST_BAR:
            full, empty = "█░" if "utf" in (sys.stderr.encoding or "").lower() else "#-"
            texts.insert(1, (full * int(room * share)).ljust(room, empty))
        own = [GAP.join(texts), GAP.join(_fitting(self._below, columns))]
        return [*(self._above._rows(columns) if self._above else []), *filter(None, own)]


def _fitting(texts, columns):
    """Return the first of some texts, as many as fit into a row whole."""
    ends = itertools.accumulate(len(text) + len(GAP) for text in texts)
    return [text for text, end in zip(texts, ends) if end <= columns + len(GAP)]


def _write(text):
    """Clear the rows and write `text` instead; do nothing if the terminal has been closed."""
    with contextlib.suppress(OSError, ValueError):
        if terminal_columns():
            sys.stderr.write(CLEAR + text)
            sys.stderr.flush()


def clock(seconds):
    """Return seconds as HH:MM:SS."""
    seconds = int(seconds)
    return f"{seconds // 3600:02}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
