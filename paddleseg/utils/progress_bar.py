"""How far something has come: a bar that moves on a terminal, a log line every so often elsewhere."""

import itertools
import os
import sys
import time

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from paddleseg.utils.logger import logger

SECONDS_BETWEEN_LINES = 20
CLEAR_FROM_HERE = "\r\x1b[J"  # of ECMA-48: this row and all below it
SHORTEST_BAR = 3  # columns that a row's texts leave its bar
COUNTS = (  # the row of any bar where there is no room for the bar itself
    "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt}",
    "{percentage:3.0f}% {n_fmt}/{total_fmt}",
    "{percentage:3.0f}%",
)
# The row of images, for ever narrower terminals; the first is tqdm's own.
FORMS = (
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]",
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]",
    "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}]",
    *COUNTS,
)


def shows_bars(stream):
    """Tell whether a stream is a terminal that has room for a bar; one without a width shows none of it."""
    if not stream.isatty():
        return False
    try:
        return os.get_terminal_size(stream.fileno()).columns > 0
    except (OSError, ValueError):  # no file of the system's, as in a notebook: tqdm then assumes a width
        return True


def bar(iterable, total=None, label="", wanted=True, sizes=None):
    """Yield images, or batches, with a progress bar on stderr if that is a terminal, else with lines.

    What the logger says meanwhile appears above the bar.

    Args:
        iterable: what to go through.
        total: number of images; default: the iterable's length, if it has one.
        label: what is being done, before the bar.
        wanted: if false, there are lines on a terminal, too.
        sizes: how many images each item stands for, as many numbers as there are items; default: one each.
    """
    total = len(iterable) if total is None and hasattr(iterable, "__len__") else total
    # However many sizes there are, every item is yielded.
    counted = zip(iterable, itertools.chain(sizes or (), itertools.repeat(1)))
    if not (wanted and shows_bars(sys.stderr)):
        lines = ProgressLines(label, total)
        for item, size in counted:
            yield item
            lines.advance(size)
        return
    # One below another bar goes away when it is done; left there, it would overwrite that one.
    shown = _ImageRow(total=total, desc=label, unit="img", leave=None)
    with logging_redirect_tqdm([logger]), shown:
        for item, size in counted:
            yield item
            shown.update(size)


class Row(tqdm):
    """A row on a terminal that is drawn anew, with all others, when the terminal's width changes.

    tqdm finds a row by counting from the cursor, and blanks out as many columns as it wrote before: after a
    change of the width both may be wrong. Hence the cursor is left at the start of the first row, where it
    stays even if the terminal breaks its rows anew, and all is cleared from there.
    """

    # A thread of tqdm's looks after rows that it draws seldom; these look at the clock at each step.
    monitor_interval = 0
    columns = None  # that there were when it was drawn last

    def __init__(self, **kwargs):
        super().__init__(dynamic_ncols=True, miniters=1, **kwargs)

    def display(self, *args, **kwargs):
        """Draw the row, and the others too where the width has changed."""
        for row in self._cleared_for_new_width():
            if row is not self:
                super(Row, row).display()
        shown = super().display(*args, **kwargs)
        self.fp.write("\r")
        self.fp.flush()
        return shown

    def clear(self, *args, **kwargs):
        """Blank out the row, as tqdm does with all of them before a log line is written."""
        with self.get_lock():
            self._cleared_for_new_width()
        super().clear(*args, **kwargs)

    def _cleared_for_new_width(self):
        """Clear all rows if the terminal has another width than when they were drawn; return those."""
        columns = self.format_dict["ncols"]
        rows = [row for row in self._instances if isinstance(row, Row) and row.columns is not None]
        changed = any(row.columns != columns for row in rows)
        self.columns = columns
        if not changed:
            return []
        self.fp.write(CLEAR_FROM_HERE)
        for row in rows:
            row.columns = columns
            row.sp = row.status_printer(row.fp)  # the old one would blank out what is gone
        return rows


class _ImageRow(Row):
    """A row that counts images, in the longest of `FORMS` that the terminal has room for."""

    @property
    def format_dict(self):
        """What tqdm draws the row from."""
        said = super().format_dict
        if said["ncols"] is None or not said["total"]:
            return said
        return {**said, "bar_format": next((form for form in FORMS if _fits(form, said)), FORMS[-1])}


def _fits(form, said):
    form = form.replace("{bar}", " " * SHORTEST_BAR)
    return len(tqdm.format_meter(**{**said, "bar_format": form, "ncols": None})) <= said["ncols"]


class ProgressLines:
    """Logs how far something has come, every `SECONDS_BETWEEN_LINES`; what is faster logs nothing.

    Args:
        label: what is being done.
        total: of what is counted; None if it is not known.
    """

    def __init__(self, label, total=None):
        self._label = label
        self._total = total
        self._done = 0
        self._start = self._told = time.monotonic()

    def advance(self, count=1):
        """So many more are done."""
        self._done += count
        now = time.monotonic()
        if now - self._told < SECONDS_BETWEEN_LINES or self._done == self._total:
            return
        self._told = now
        speed = self._done / (now - self._start)
        of, left = "", ""
        if self._total is not None:
            of, left = f"/{self._total}", f", ETA {clock((self._total - self._done) / speed)}"
        logger.info(f"{self._label}: {self._done}{of}, {speed:.3g} a second{left}")


def clock(seconds):
    """Return seconds as HH:MM:SS."""
    seconds = int(seconds)
    return f"{seconds // 3600:02}:{seconds % 3600 // 60:02}:{seconds % 60:02}"
