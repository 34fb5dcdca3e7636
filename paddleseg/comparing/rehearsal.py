"""A rehearsal: each method's training is built and checked before anything is trained for hours."""

import contextlib
import json
import os
import shutil

from paddleseg.comparing.plan import PLAIN, slug
from paddleseg.comparing.storage import read_dict
from paddleseg.comparing.trainings import RefusedError
from paddleseg.utils.logger import logger
from paddleseg.utils.replace_file import replace_file


def rehearse(trainings, methods):
    """Make a dry run of each method, the plain student's too; return the methods that fit the models.

    What has passed stays in `rehearsed.json`, and is not checked again until its `rehearsal_mark` changes.

    Args:
        trainings: `Trainings`.
        methods: names of methods, the plain student's among them.

    Raises:
        UserError: the student alone, a method that the user named, or each of the others cannot be trained.
    """
    options, plan = trainings.options, trainings.plan
    root, path = (os.path.join(options.out, name) for name in ("rehearsal", "rehearsed.json"))
    shutil.rmtree(root, ignore_errors=True)
    passed = read_dict(path)
    fitting = []
    for method in methods:
        mark = trainings.rehearsal_mark(method)
        folder = os.path.join(root, slug(method))
        try:
            if passed.get(method) != mark:
                os.makedirs(folder)
                trainings.rehearse(method, folder)
                shutil.rmtree(folder)
                passed[method] = mark
                replace_file(path, json.dumps(passed, indent=1))
            fitting.append(method)
        except RefusedError as error:
            none_fits = method == methods[-1] and fitting == [PLAIN]
            if method == PLAIN or plan.states_methods or options.only or none_fits:
                raise
            logger.warning(f"{method} is left out: {error}")
    with contextlib.suppress(OSError):
        os.rmdir(root)  # unless it holds the log of a method that is left out
    return fitting
