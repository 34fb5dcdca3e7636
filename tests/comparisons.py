"""Helpers for comparisons of tiny models by plans."""

import csv
import os

import tiny

KL = {"distill_loss": {"types": [{"type": "KLLoss"}], "coef": [3]}}


def environment():
    """Return the changes of the environment with which trainings find the tests' models."""
    path = [os.path.dirname(tiny.__file__), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path), "PADDLESEG_TUNE": "0"}


def teacher_weights(folder):
    """Return the path of the weights that the comparison of `printed` trained."""
    return str(folder / "both" / "teacher_seed0" / "best_model" / "model.pdparams")


def rows_of(folder):
    with open(folder / "runs.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))
