"""A rehearsal: each method's training is built and checked before anything is trained for hours."""

import os
import re
import shutil

from paddleseg.comparing.plan import PLAIN, slug
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger


def rehearse(trainings, methods):
    """Build the training of each method, the plain student's too; return the methods that fit the models.

    A method that has a finished training is not rehearsed again.

    Args:
        trainings: `Trainings`.
        methods: names of methods, the plain student's first.

    Raises:
        UserError: the student alone, a method that the user named, or each of the others cannot be trained.
    """
    options, plan = trainings.options, trainings.plan
    folder = os.path.join(options.out, "rehearsal")
    fitting = []
    for method in methods:
        try:
            if not _has_finished(options.out, method):
                shutil.rmtree(folder, ignore_errors=True)
                os.makedirs(folder)
                trainings.rehearse(method, folder)
            fitting.append(method)
        except UserError as error:
            last = method == methods[-1] and fitting == [PLAIN]
            if method == PLAIN or plan.states_methods or options.only or last:
                raise
            logger.warning(f"{method} is left out: {error}")
    shutil.rmtree(folder, ignore_errors=True)
    return fitting


def _has_finished(out, method):
    """Return whether a folder has a finished training by a method, of any length and seed."""
    name = re.compile(re.escape(slug(method)) + r"_\d+_seed\d+")
    return any(
        name.fullmatch(entry.name) and os.path.isfile(os.path.join(entry, "result.json"))
        for entry in os.scandir(out)
    )
