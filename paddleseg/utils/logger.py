"""The one logger: PaddleSeg's line form, flushed, from rank 0 alone unless it is a warning."""

import logging
import os
import sys

logger = logging.getLogger("paddleseg")


def _is_first_rank():
    return int(os.environ.get("PADDLE_TRAINER_ID", "0")) == 0


class _FirstRankOnly(logging.Filter):
    def filter(self, record):
        return record.levelno >= logging.WARNING or _is_first_rank()


class _CurrentStdout(logging.StreamHandler):
    """Writes to what `sys.stdout` is at that moment, so that a redirected one gets the lines."""

    def __init__(self):
        logging.Handler.__init__(self)

    @property
    def stream(self):
        return sys.stdout

    def handleError(self, record):
        # Whoever read the lines may go, as `tee` when it is stopped; a training goes on without.
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)


def _set_up():
    handler = _CurrentStdout()
    handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s]\t%(message)s", "%Y-%m-%d %H:%M:%S"))
    handler.addFilter(_FirstRankOnly())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


if not logger.handlers:
    _set_up()
