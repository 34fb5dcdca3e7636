"""The logger: lines in PaddleSeg's form, flushed; the other ranks than 0 log only warnings and errors."""

import logging
import os
import sys

logger = logging.getLogger("paddleseg")


def _first_rank_only(record):
    return record.levelno >= logging.WARNING or int(os.environ.get("PADDLE_TRAINER_ID", "0")) == 0


class _CurrentStdout(logging.StreamHandler):
    """Writes to the current `sys.stdout`, so that a redirection gets the lines."""

    def __init__(self):
        logging.Handler.__init__(self)

    @property
    def stream(self):
        return sys.stdout

    def handleError(self, record):
        # The reader of the lines may end, such as a stopped `tee`; the training goes on.
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)


def _set_up():
    handler = _CurrentStdout()
    handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s]\t%(message)s", "%Y-%m-%d %H:%M:%S"))
    handler.addFilter(_first_rank_only)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


if not logger.handlers:
    _set_up()
# PaddleSeg's users write `from paddleseg.utils import logger` and `logger.info(...)`.
debug, info, warning, error = logger.debug, logger.info, logger.warning, logger.error
