"""Trainings read from their folders, and which of them are compared with which."""

import collections
import dataclasses
import json
import os
import shlex
import zipfile
from typing import List, Optional

import numpy as np
import yaml

from paddleseg.cvlibs.class_names import NAMING, section_names
from paddleseg.errors import UserError, one_line
from paddleseg.monitoring.history import HISTORY_FILE, read_history
from paddleseg.monitoring.run_file import RUN_FILE
from paddleseg.weights.load import is_url

WEIGHTS = os.path.join("best_model", "model.pdparams")
BEST_STATE = os.path.join("best_model", "state.json")
CONFUSIONS = "confusions.npz"
ROLES = ("train", "distill")


@dataclasses.dataclass(eq=False)
class Run:
    """A training.

    Attributes:
        folder: its `save_dir`.
        name: its name on the page.
        record: the dict of its `run.yml`.
        history: list of the dicts of its `history.jsonl`.
        best: {'miou': float, 'class_iou': list, 'iteration': int} of the best evaluation, None without one.
    """

    folder: str
    name: str
    record: dict
    history: list
    best: Optional[dict] = None

    @property
    def config(self):
        """The merged config, a dict."""
        return self.record["config"]

    @property
    def config_path(self):
        """The path of the config file, None where `run.yml` has none."""
        return self.record.get("config_path")

    @property
    def seed(self):
        """The seed, None where `run.yml` has none."""
        return self.record.get("seed")

    @property
    def teachers(self):
        """The teachers, a list of {'config': dict, 'weights': path or None}."""
        return self.record.get("teachers") or []

    @property
    def class_names(self):
        """The names of the classes of the validation images, () where they have none."""
        return section_names(self.config.get("val_dataset"))

    @property
    def distilled(self):
        """Whether it had a teacher."""
        return self.record["role"] == "distill"

    @property
    def command(self):
        """The command that trained it, as a user would type it."""
        words = [str(word) for word in self.record.get("command") or []]
        is_script = words[:1] != ["paddleseg-distill"]
        return shlex.join(["python", *words] if words and is_script else words)

    @property
    def origin(self):
        """Its folder, start, device and version of Paddle, as a text."""
        words = {"started": "", "device": "on ", "paddle": "with Paddle "}
        return ", ".join(
            [self.folder, *(f"{word}{self.record[key]}" for key, word in words.items() if key in self.record)]
        )

    @property
    def weights(self):
        """The path of the best weights, None where there are none."""
        path = os.path.join(self.folder, WEIGHTS)
        return path if os.path.isfile(path) else None

    @property
    def confusions(self):
        """The confusion matrix of each validation image, N x C x C; None where no comparison stored them."""
        path = os.path.join(self.folder, CONFUSIONS)
        if not os.path.isfile(path):
            return None
        try:
            with np.load(path) as file:
                # Under its earlier name the array had another order of images.
                return file["matrices"] if "confusions" not in file else None
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} is damaged ({one_line(error)}); remove it") from None

    @property
    def run_file(self):
        """The path of its `run.yml`, for messages."""
        return os.path.join(self.folder, RUN_FILE)

    def paces(self):
        """Return [(iteration, seconds of an iteration since the last one here)] of the log lines."""
        lines = [entry for entry in self.history if entry["kind"] == "train"]
        return [(entry["iteration"], self.config["batch_size"] / entry["ips"]) for entry in lines]

    def evaluations(self, ema=False):
        """Return the evaluations in the history: of the weights or, with `ema`, of their moving average."""
        return [entry for entry in self.history if entry["kind"] == "eval" and bool(entry.get("ema")) == ema]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Distilled runs that differ only in their seeds, and the runs to compare them with.

    Attributes:
        distilled: list of runs.
        plain: runs that trained the same model without a teacher.
        teachers: runs that trained the teachers.
    """

    distilled: List[Run]
    plain: List[Run]
    teachers: List[Run]


def read_runs(folders):
    """Return the `Run` of each folder, each with a name of its own.

    Raises:
        UserError: a folder holds no run, is given twice, or has a file that no training writes.
    """
    return [_read_run(folder, name) for folder, name in zip(folders, names_of(folders))]


def is_run(folder):
    """Tell whether a folder is the `save_dir` of a training."""
    return os.path.isfile(os.path.join(folder, RUN_FILE))


def names_of(folders):
    """Return a name for each folder: its last part or, if two are equal, its path below the last shared one.

    Raises:
        UserError: a folder is given twice.
    """
    resolved = [os.path.realpath(folder) for folder in folders]
    for folder, path in zip(folders, resolved):
        if resolved.count(path) > 1:
            raise UserError(f"{folder}: this run is given {resolved.count(path)} times")
    # A run that is given by a link has the name of the link, so links are not resolved here.
    paths = [os.path.abspath(folder) for folder in folders]
    names = [os.path.basename(path) for path in paths]
    if len(set(names)) == len(names):
        return names
    shared = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, shared) for path in paths]


def comparisons(runs):
    """Return the `Comparison` of each group of distilled runs, in the order of the runs."""
    groups = collections.defaultdict(list)
    for run in runs:
        if run.distilled:
            groups[identity(run)].append(run)
    return [
        Comparison(group, [run for run in runs if _is_plain_of(run, group[0])], _teachers_of(group[0], runs))
        for group in groups.values()
    ]


def kind_of(run, compared):
    """Return what a run is to the others: "distilled", "teacher", "plain", or "trained" if none of these.

    Args:
        run: a `Run`.
        compared: the `comparisons` of all runs.
    """
    if run.distilled:
        return "distilled"
    if any(run in comparison.teachers for comparison in compared):
        return "teacher"
    return "plain" if any(run in comparison.plain for comparison in compared) else "trained"


def seeds_of(runs):
    """Return {name: runs that differ in their seeds alone}, in the order of the runs.

    The name of a group is the common beginning of the runs' names, with the number of the runs.
    """
    groups = collections.defaultdict(list)
    for run in runs:
        groups[identity(run)].append(run)
    named = {}
    for group in groups.values():
        if len({run.seed for run in group}) < len(group):  # they differ in something that no config states
            named.update({run.name: [run] for run in group})
            continue
        shared = os.path.commonprefix([run.name for run in group]).rstrip("_-. 0123456789")
        name = shared.removesuffix("seed").rstrip("_-. ") or group[0].name
        several = f"{name} ({len(group)} seeds)" if len(group) > 1 else group[0].name
        named[several if several not in named else f"{several}, {group[0].name}"] = group
    return named


def identity(run):
    """Return a text that is equal for runs that differ only in their seeds."""
    keys = ("role", "config", "teachers", "distill_config_sha256")
    return json.dumps([run.record.get(key) for key in keys], sort_keys=True, default=str)


def on_same_images(runs, prepared_alike=False):
    """Tell whether runs were evaluated on the same images.

    Args:
        runs: list of `Run`.
        prepared_alike: whether they must also agree in the transforms. Default False.
    """
    return len({_images_of(run.config, prepared_alike) for run in runs}) <= 1


def _images_of(config, with_transforms):
    """Return a text that is equal for configs with the same validation images, in whatever spelling."""
    section = dict(config.get("val_dataset") or {})
    if isinstance(section.get("dataset_root"), str):
        section["dataset_root"] = os.path.realpath(section["dataset_root"])
    if section.get("type") == NAMING:
        section.pop("class_names", None)
    if not with_transforms:
        section.pop("transforms", None)
    return json.dumps(section, sort_keys=True, default=str)


def without_pretrained(value):
    """Return a config, or a part of it, with None for each `pretrained`."""
    if isinstance(value, dict):
        return {k: None if k == "pretrained" else without_pretrained(v) for k, v in value.items()}
    return [without_pretrained(item) for item in value] if isinstance(value, list) else value


def same_model(one, other):
    """Tell whether two configs have the same model, whatever weights it begins with."""
    one, other = (without_pretrained({"pretrained": None, **c.get("model", {})}) for c in (one, other))
    return one == other


def teacher_file(teacher):
    """Return the path of a teacher's weights, or of its file where the model is one; None without both.

    Args:
        teacher: an item of `Run.teachers`.
    """
    return teacher.get("weights") or ((teacher.get("config") or {}).get("model") or {}).get("path")


def _read_run(folder, name):
    run = Run(folder, name, _read_record(folder), read_history(os.path.join(folder, HISTORY_FILE)))
    run.best = _best_state(folder) or _best_evaluation(run)
    return run


def _read_record(folder):
    """Return the dict of a `run.yml`, in the form that a training writes."""
    path = os.path.join(folder, RUN_FILE)
    if not os.path.isfile(path):
        raise UserError(f"{folder} holds no run: it has no {RUN_FILE}; name the save_dir of a training")
    try:
        with open(path, encoding="utf-8") as file:
            record = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {one_line(error)}") from None
    if not (
        isinstance(record, dict) and isinstance(record.get("config"), dict) and record.get("role") in ROLES
    ):
        raise UserError(f"{path} is not of a training: it must have a config and a role, train or distill")
    teachers = record.get("teachers") or []
    if not isinstance(teachers, list) or not all(map(_is_teacher, teachers)):
        raise UserError(f"{path}: teachers must be a list of `config: {{model: ...}}` and `weights`, a path")
    return record


def _is_teacher(teacher):
    """Tell whether an item of `teachers` has the form that a training writes."""
    if not isinstance(teacher, dict) or not isinstance(teacher.get("config", {}), dict):
        return False
    model = (teacher.get("config") or {}).get("model", {})
    return isinstance(model, dict) and isinstance(teacher.get("weights"), (str, type(None)))


def _best_state(folder):
    """Return the scores that are stored with the best weights, None without them."""
    try:
        with open(os.path.join(folder, BEST_STATE), encoding="utf-8") as file:
            state = json.load(file)
        return {
            "miou": float(state["best_miou"]),
            "class_iou": [float(iou) for iou in state["best_class_iou"]],
            "iteration": int(state["best_iter"]),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _best_evaluation(run):
    scored = [entry for entry in run.evaluations() if entry.get("miou") is not None]
    if not scored:
        return None
    best = max(scored, key=lambda entry: entry["miou"])
    return {key: best.get(key) for key in ("miou", "class_iou", "iteration")}


def _is_plain_of(run, distilled):
    return (
        not run.distilled
        and not _trained_weights(distilled, [run])
        and same_model(run.config, distilled.config)
    )


def _teachers_of(distilled, runs):
    """Return the runs that trained the teachers' weights or, if there is none, the teachers' models."""
    models = [teacher.get("config") or {} for teacher in distilled.teachers]
    return _trained_weights(distilled, runs) or [
        run
        for run in runs
        if not run.distilled
        and not same_model(run.config, distilled.config)
        and any(same_model(run.config, model) for model in models)
    ]


def _trained_weights(distilled, runs):
    """Return the runs whose folder holds the weights of a teacher."""
    weights = [teacher["weights"] for teacher in distilled.teachers if teacher.get("weights")]
    return [run for run in runs if any(lies_in(path, run.folder) for path in weights)]


def lies_in(path, folder):
    """Tell whether a path is below a folder, links resolved; a URL is below none."""
    if is_url(path):
        return False
    path, folder = os.path.realpath(path), os.path.realpath(folder)
    return path.startswith(os.path.join(folder, ""))
