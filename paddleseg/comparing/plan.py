"""A plan: the configs of teacher and student, the seeds, and what methods add to the student's config."""

import copy
import dataclasses
import os
import re
from typing import Dict, List

import yaml

from paddleseg.cvlibs.rules import is_share
from paddleseg.cvlibs.yaml_file import load_config
from paddleseg.errors import UserError, one_line, suggestion
from paddleseg.utils import shipped

PLAIN = "student alone"
TEACHER = "teacher"
SEEDS = (0, 1, 2)
# What a plan without methods compares: methods that need no names of layers.
METHODS = {
    PLAIN: {},
    "KLLoss": {"distill_loss": {"types": [{"type": "KLLoss"}], "coef": [3]}},
    "SegChannelwiseLoss": {"distill_loss": {"types": [{"type": "SegChannelwiseLoss"}], "coef": [3]}},
    "the default": os.path.join(shipped.folder(), "configs", "recipes", "default.yml"),
}
# The keys that count iterations.
_OF_RATES = ("decay_steps", "T_max", "step_size", "warmup_iters", "boundaries", "milestones")
_OF_FEATURES = ("start_iter", "warmup_iters", "end_iter")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        teacher: path of the teacher's config.
        student: path of the student's config.
        seeds: of the students.
        methods: {name: what the method adds to the student's config}, the plain student among them.
        iters: the student's iterations.
        states_methods: whether the file names them. Else they are `METHODS`, of which some may not fit.
    """

    teacher: str
    student: str
    seeds: List[int]
    methods: Dict[str, dict]
    iters: int
    states_methods: bool

    def chosen(self, names):
        """Return the names of the plain student and of these methods, of all for None."""
        for name in names or []:
            if name not in self.methods:
                raise UserError(f"only: the plan has no method {name!r}; {suggestion(name, self.methods)}")
        return [name for name in self.methods if names is None or name in names or name == PLAIN]

    def changes(self, method, iters):
        """Return what a training by a method changes in the student's config, a dict of sections.

        Schedules keep their share of the training: every number of iterations in the rate's schedule and in
        the features' is scaled as `iters` is.
        """
        added = copy.deepcopy(self.methods[method])
        if iters == self.iters:
            return {**added, "iters": iters}
        student, _ = load_config(self.student)
        rates = {**student.get("lr_scheduler", {}), **added.get("lr_scheduler", {})}
        changed = {**added, "iters": iters, "lr_scheduler": _scaled(rates, _OF_RATES, iters / self.iters)}
        for feature in changed.get("distill", {}).get("features") or []:
            if feature.get("schedule"):
                feature["schedule"] = _scaled(feature["schedule"], _OF_FEATURES, iters / self.iters)
        return changed


def read_plan(path, iters=None):
    """Return the `Plan` of a YAML file, whose configs' paths start at its folder.

    Args:
        path: the file: teacher, student, and perhaps seeds and methods.
        iters: iterations of the students in place of the config's. Default None.

    Raises:
        UserError: the file cannot be read, or lacks a key, or has one that no plan has.
    """
    dic = _read(path)
    folder = os.path.dirname(os.path.abspath(path))
    methods = {
        name: _added(path, name, added, folder) for name, added in (dic.get("methods") or METHODS).items()
    }
    if PLAIN not in methods:
        raise UserError(f"the plan {path}: methods lack {PLAIN!r}, with which all others are compared")
    if len({slug(method) for method in methods}) < len(methods):
        raise UserError(
            f"the plan {path}: two methods would share a folder, because only signs differ in their names"
        )
    configs = {role: os.path.join(folder, dic[role]) for role in ("teacher", "student")}
    student, _ = load_config(configs["student"])
    if not isinstance(student.get("iters"), int):
        raise UserError(f"{configs['student']}: iters is missing, the number of iterations")
    plan = Plan(
        **configs,
        seeds=dic.get("seeds") or list(SEEDS),
        methods=methods,
        iters=student["iters"],
        states_methods=bool(dic.get("methods")),
    )
    return plan if iters is None else _shortened(plan, iters)


def _added(path, method, value, folder):
    """Return what a method adds to the student's config: a mapping, that of a file, or nothing."""
    if isinstance(value, str):
        value, _ = load_config(os.path.join(folder, value))
    if not isinstance(value, (dict, type(None))):
        raise UserError(
            f"the plan {path}: {method} must be a mapping or the path of a file with one, not {value!r}"
        )
    return value or {}


def _shortened(plan, iters):
    """Return a plan whose students train for `iters` iterations, with schedules in proportion."""
    methods = {name: plan.changes(name, iters) for name in plan.methods}
    return dataclasses.replace(plan, methods=methods, iters=iters)


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            dic = yaml.safe_load(file)
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"the plan {path} cannot be read: {one_line(error)}") from None
    if not isinstance(dic, dict):
        raise UserError(f"the plan {path} must be a mapping with the keys teacher and student")
    # Nothing reads `anchors`. A plan may define YAML's anchors there, such as `&name`.
    known = ("teacher", "student", "seeds", "methods", "anchors")
    for key in dic:
        if key not in known:
            raise UserError(f"the plan {path}: unknown key {key!r}; {suggestion(str(key), known)}")
    for role in ("teacher", "student"):
        if not isinstance(dic.get(role), str):
            raise UserError(f"the plan {path}: {role} must be the path of a config")
    if not isinstance(dic.get("methods") or {}, dict):
        raise UserError(f"the plan {path}: methods must map names to what they add to the student's config")
    seeds = dic.get("seeds") or []
    if not isinstance(seeds, list) or not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise UserError(f"the plan {path}: seeds must be a list of whole numbers of 0 or above")
    return dic


def _scaled(section, keys, ratio):
    return {key: _times(value, ratio) if key in keys else value for key, value in section.items()}


def _times(value, ratio):
    if isinstance(value, list):
        return [_times(item, ratio) for item in value]
    if is_share(value):
        return value
    return max(round(value * ratio), 1) if value else value


def slug(name):
    """Return a name for files, from the name of a method."""
    return re.sub(r"\W+", "_", name).strip("_")
