"""A bar that moves on a terminal, and nothing elsewhere."""

import sys

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from paddleseg.utils.logger import logger


def bar(iterable, total=None, label=""):
    """Yield the items of an iterable, with a progress bar on stderr if that is a terminal.

    What the logger says meanwhile appears above the bar.

    Args:
        iterable: what to go through.
        total: number of items; default: the iterable's length, if it has one.
        label: what is being done, before the bar.
    """
    if not sys.stderr.isatty():
        yield from iterable
        return
    with logging_redirect_tqdm([logger]):
        # One below another bar goes away when it is done; left there, it would overwrite that one.
        yield from tqdm(iterable, total=total, desc=label, dynamic_ncols=True, leave=None)
