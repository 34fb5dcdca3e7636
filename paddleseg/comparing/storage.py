"""What a comparison stores of its trainings: folders with marks, and results."""

import dataclasses
import glob
import itertools
import json
import os
import shutil

from paddleseg.comparing.results import Result
from paddleseg.utils.logger import logger
from paddleseg.utils.replace_file import replace_file

_MARK = "fingerprint"  # the file in a run's folder that has the mark of its training


def make_room(folder, mark):
    """Make the folder of a run, unless a run with the same mark is in it.

    A run with another mark is moved aside, since it may be worth hours. If its config comes back, so does it.
    """
    if _mark_of(folder) == mark:
        return
    if _mark_of(folder) is not None:
        paths = (f"{folder}.replaced{number}" for number in itertools.count(1))
        aside = next(path for path in paths if not os.path.exists(path))
        os.replace(folder, aside)
        logger.warning(
            f"{folder} held a training of another config, teacher, engine or data set, now in {aside}"
        )
    shutil.rmtree(folder, ignore_errors=True)  # of a run that stopped before it had a mark
    for aside in glob.glob(f"{glob.escape(folder)}.replaced*"):
        if _mark_of(aside) == mark:
            os.replace(aside, folder)
            logger.info(f"{aside} has the training of the present config, and is now {folder} again")
            return
    os.makedirs(folder)
    with open(os.path.join(folder, _MARK), "w", encoding="utf-8") as file:
        file.write(mark)


def _mark_of(folder):
    """Return the mark of the run in a folder, None without one."""
    path = os.path.join(folder, _MARK)
    if not os.path.isfile(path):
        return None
    with open(path, encoding="utf-8") as file:
        return file.read()


def read_dict(path):
    """Return the dict that a JSON file holds; an empty one without a file, or with a damaged one."""
    if not os.path.isfile(path):
        return {}
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        except ValueError as error:
            logger.warning(f"{path} is damaged, so what it held is made again: {error}")
            return {}


def read_result(path, training, mark):
    """Return the stored `Result` of a training, None if none with this mark is stored."""
    stored = read_dict(path)
    stored_mark = stored.pop("fingerprint", None)
    return Result(**{**stored, "training": training}) if stored_mark == mark else None


def write_result(path, result, mark):
    """Store the `Result` of the training that has this mark."""
    replace_file(path, json.dumps({**dataclasses.asdict(result), "fingerprint": mark}, indent=1))
