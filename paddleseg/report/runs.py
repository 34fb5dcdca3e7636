"""The folders of trainings, read, and what the trainings are to each other."""

import collections
import dataclasses
import json
import os
import shlex
from typing import List, Optional

import yaml

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.class_names import class_names, said_names
from paddleseg.cvlibs.facts import component_of
from paddleseg.errors import UserError
from paddleseg.monitoring.history import HISTORY_FILE, read_history
from paddleseg.monitoring.run_file import RUN_FILE

WEIGHTS = os.path.join("best_model", "model.pdparams")
BEST_STATE = os.path.join("best_model", "state.json")
ROLES = ("train", "distill")


@dataclasses.dataclass(eq=False)
class Run:
    """A training.

    Attributes:
        folder: its `save_dir`.
        name: what the page calls it.
        about: the dict of its `run.yml`.
        history: list of the dicts of its `history.jsonl`.
        best: {'miou': float, 'class_iou': list, 'iteration': int} of the best evaluation, None without one.
    """

    folder: str
    name: str
    about: dict
    history: list
    best: Optional[dict]

    @property
    def config(self):
        """The merged config, a dict."""
        return self.about["config"]

    @property
    def class_names(self):
        """The names of the classes that it was evaluated on, () where they have none."""
        section = self.config.get("val_dataset")
        return said_names(section) or class_names(component_of(section, manager.DATASETS))

    @property
    def distilled(self):
        """Whether a teacher took part."""
        return self.about["role"] == "distill"

    @property
    def command(self):
        """The command that trained it, as it would be typed."""
        words = [str(word) for word in self.about.get("command") or []]
        return shlex.join(["python", *words] if words else [])

    @property
    def origin(self):
        """Where it lies and where it comes from, a sentence."""
        told = [("started", ""), ("device", "on "), ("paddle", "with Paddle ")]
        return ", ".join(
            [self.folder, *(f"{word}{self.about[key]}" for key, word in told if key in self.about)]
        )

    @property
    def weights(self):
        """The path of the best weights, None where there are none."""
        path = os.path.join(self.folder, WEIGHTS)
        return path if os.path.isfile(path) else None

    @property
    def run_file(self):
        """The path of its `run.yml`, for messages."""
        return os.path.join(self.folder, RUN_FILE)

    def evaluations(self, ema=False):
        """Return the evaluations of the history, of the weights or of their moving average."""
        return [entry for entry in self.history if entry["kind"] == "eval" and bool(entry.get("ema")) == ema]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Distillations that differ in their seeds alone, and those of the other runs that they are measured by.

    Attributes:
        distilled: list of runs.
        plain: runs that trained the same model without a teacher.
        teachers: runs whose weights taught them.
    """

    distilled: List[Run]
    plain: List[Run]
    teachers: List[Run]


def read_runs(folders):
    """Return the `Run` of each folder, with names that tell them apart.

    Raises:
        UserError: a folder is no run, is given twice, or has a file that is not as a training writes it.
    """
    paths = [os.path.realpath(folder) for folder in folders]
    for folder, path in zip(folders, paths):
        if paths.count(path) > 1:
            raise UserError(f"{folder}: this run is given {paths.count(path)} times")
    # A link is called by its own name: that is what was given.
    given = [os.path.abspath(folder) for folder in folders]
    return [_read_run(folder, name) for folder, name in zip(folders, _names(given))]


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


def part_of(run, found):
    """Return what a run is to the others: "distilled", "teacher", "plain", or "trained" if nothing of these.

    Args:
        run: a `Run`.
        found: the `comparisons` of all of them.
    """
    if run.distilled:
        return "distilled"
    if any(run in comparison.teachers for comparison in found):
        return "teacher"
    return "plain" if any(run in comparison.plain for comparison in found) else "trained"


def identity(run):
    """Return a text that is equal for runs that differ in their seeds alone."""
    about = run.about
    said = [about["role"], about["config"], about.get("teachers"), about.get("distill_config_sha256")]
    return json.dumps(said, sort_keys=True, default=str)


def without_pretrained(value):
    """Return a config, or a part of it, with None for all `pretrained`."""
    if isinstance(value, dict):
        return {k: None if k == "pretrained" else without_pretrained(v) for k, v in value.items()}
    return [without_pretrained(item) for item in value] if isinstance(value, list) else value


def same_model(one, other):
    """Tell whether two configs are of the same model, whatever the weights that it begins with."""
    one, other = (without_pretrained({"pretrained": None, **c.get("model", {})}) for c in (one, other))
    return one == other


def teacher_file(teacher):
    """Return the path of a teacher's weights or, of an `ONNXTeacher`, of its file; None where none is named.

    Args:
        teacher: an item of `teachers` of a `run.yml`.
    """
    return teacher.get("weights") or ((teacher.get("config") or {}).get("model") or {}).get("path")


def _names(paths):
    """Return for each path its last part or, where two are equal, all from where the paths part."""
    names = [os.path.basename(path) for path in paths]
    if len(set(names)) == len(names):
        return names
    shared = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, shared) for path in paths]


def _read_run(folder, name):
    about = _read_run_file(folder)
    history = read_history(os.path.join(folder, HISTORY_FILE))
    run = Run(folder, name, about, history, None)
    run.best = _best_state(folder) or _best_evaluation(run)
    return run


def _read_run_file(folder):
    path = os.path.join(folder, RUN_FILE)
    if not os.path.isfile(path):
        raise UserError(f"{folder} is no run: no {RUN_FILE} there; name the --save_dir of a training")
    try:
        with open(path, encoding="utf-8") as file:
            about = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    whole = isinstance(about, dict) and isinstance(about.get("config"), dict) and about.get("role") in ROLES
    if not whole:
        raise UserError(f"{path} is not of a training: it must have a config and a role, train or distill")
    teachers = about.get("teachers") or []
    if not isinstance(teachers, list) or not all(map(_is_teacher, teachers)):
        raise UserError(f"{path}: teachers must be a list of `config: {{model: ...}}` and `weights`, a path")
    return about


def _is_teacher(teacher):
    """Tell whether an item of `teachers` is such as a training writes."""
    if not isinstance(teacher, dict) or not isinstance(teacher.get("config", {}), dict):
        return False
    model = (teacher.get("config") or {}).get("model", {})
    return isinstance(model, dict) and isinstance(teacher.get("weights"), (str, type(None)))


def _best_state(folder):
    """Return what the best weights say of themselves; None if they do not."""
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
    taught = _teachers_by_weights(distilled, [run])
    return not run.distilled and not taught and same_model(run.config, distilled.config)


def _teachers_of(distilled, runs):
    """Return the runs that taught: those whose weights are named, else those of the same model."""
    found = _teachers_by_weights(distilled, runs)
    if found:
        return found
    models = [teacher.get("config") or {} for teacher in distilled.about.get("teachers") or []]
    return [
        run
        for run in runs
        if not run.distilled
        and not same_model(run.config, distilled.config)
        and any(same_model(run.config, model) for model in models)
    ]


def _teachers_by_weights(distilled, runs):
    taught_by = [t["weights"] for t in distilled.about.get("teachers") or [] if t.get("weights")]
    return [run for run in runs if any(_lies_in(weights, run.folder) for weights in taught_by)]


def _lies_in(path, folder):
    path, folder = os.path.realpath(path), os.path.realpath(folder)
    return path.startswith(os.path.join(folder, ""))
