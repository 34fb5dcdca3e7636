"""A plan: the configs of teacher and student, the seeds, and what methods add to the student's config."""

import copy
import dataclasses
import os
import re
from typing import Dict, List

from paddleseg.comparing.schedules import scaled_sections
from paddleseg.cvlibs.yaml_file import INHERIT_KEY, load_config, merged, read_mapping
from paddleseg.errors import UserError, suggestion
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


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        teacher: path of the teacher's config.
        student: path of the student's config.
        seeds: of the students.
        methods: {name: what the method adds to the student's config}, the plain student among them.
        iters: the plain student's iterations.
        written_iters: those of the student's config, to which all schedules are written.
        states_methods: whether the file names them. Else they are `METHODS`, of which some may not fit.
    """

    teacher: str
    student: str
    seeds: List[int]
    methods: Dict[str, dict]
    iters: int
    written_iters: int
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
        the features', those of the student's config too, is scaled as `iters` is.
        """
        changed = {**copy.deepcopy(self.methods[method]), "iters": iters}
        if iters == self.written_iters:
            return changed
        student, _ = load_config(self.student)
        sections = scaled_sections(merged(student, changed), iters / self.written_iters)
        return {**changed, **{name: {INHERIT_KEY: False, **of} for name, of in sections.items()}}


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
    return Plan(
        **configs,
        seeds=dic.get("seeds") or list(SEEDS),
        methods=methods,
        iters=iters or student["iters"],
        written_iters=student["iters"],
        states_methods=bool(dic.get("methods")),
    )


def _added(path, method, value, folder):
    """Return what a method adds to the student's config: a mapping, that of a file, or nothing."""
    if isinstance(value, str):
        value, _ = load_config(os.path.join(folder, value))
    if not isinstance(value, (dict, type(None))):
        raise UserError(
            f"the plan {path}: {method} must be a mapping or the path of a file with one, not {value!r}"
        )
    return value or {}


def _read(path):
    dic, _ = read_mapping(path, "plan")
    # Nothing reads `anchors`. A plan may define YAML's anchors there, such as `&name`.
    known = ("teacher", "student", "seeds", "methods", "anchors")
    for key in dic:
        if key not in known:
            raise UserError(f"the plan {path}: unknown key {key!r}; {suggestion(str(key), known)}")
    for role in ("teacher", "student"):
        if not isinstance(dic.get(role), str):
            raise UserError(f"the plan {path}: {role} must be the path of a config")
    methods, seeds = dic.get("methods") or {}, dic.get("seeds") or []
    if not isinstance(methods, dict):
        raise UserError(f"the plan {path}: methods must map names to what they add to the student's config")
    for name in methods:
        if not isinstance(name, str) or name == TEACHER:
            raise UserError(f"the plan {path}: a method cannot be called {name!r}; give it another name")
    if not isinstance(seeds, list) or not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise UserError(f"the plan {path}: seeds must be a list of whole numbers of 0 or above")
    check_seeds(seeds)
    return dic


def check_seeds(seeds):
    """Refuse seeds that are given twice: their trainings are equal, and no further evidence."""
    if len(set(seeds)) < len(seeds):
        raise UserError(f"seeds {list(seeds)}: each seed may be given once")


def slug(name):
    """Return a name for files, from the name of a method."""
    return re.sub(r"\W+", "_", name).strip("_")
