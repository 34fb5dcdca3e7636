"""A YAML file to a checked dict."""

import importlib
import os
import sys
from typing import Any, NamedTuple

import yaml

from paddleseg.cvlibs import paddleseg_keys
from paddleseg.cvlibs.check import COMPONENT_SECTIONS, OTHER_SECTIONS, STEPS, Checker
from paddleseg.cvlibs.check_distill import SUPPLIED_TO_LOSSES, features_of, logits_at, num_unlabeled
from paddleseg.cvlibs.class_names import class_names, said_names
from paddleseg.cvlibs.facts import (
    DATA_SECTIONS,
    LOSS_SECTIONS,
    channel_counts,
    class_counts,
    component_of,
    ignore_indices,
    ignoring_components,
    nested_losses,
    normalizations,
    without_weights,
)
from paddleseg.cvlibs.manager import BACKBONES, DATASETS, LOSSES
from paddleseg.cvlibs.overrides import apply_overrides
from paddleseg.cvlibs.yaml_file import load_config
from paddleseg.errors import UserError
from paddleseg.options.inference import with_flags
from paddleseg.utils.signature import accepts, parameters

# Reached as a user's own components are: by importing the module that registers them.
BUILT_IN = (
    "paddleseg.models",
    "paddleseg.datasets",
    "paddleseg.transforms",
    "paddleseg.optimizers",
    "paddleseg.distill.connectors",
    "paddleseg.distill.teachers.onnx_teacher",
)
SECTIONS = (*COMPONENT_SECTIONS, *LOSS_SECTIONS, "distill", *OTHER_SECTIONS)
DEPLOYED = ("export", "val_dataset")  # sections that say how an image is prepared; the first one wins
# Of the data sets' modes, the one whose samples need no mask.
MODES = {"train_dataset": "train", "val_dataset": "val", "unlabeled_dataset": "test"}


class Fact(NamedTuple):
    """What a config states, and where, for messages."""

    value: Any
    place: str


class ConfigError(UserError):
    """A config with mistakes; `problems` lists all of them, each with file, key path and remedy."""

    def __init__(self, path, problems):
        self.problems = list(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n  ".join([f"{count} in the config {path}:", *self.problems]))


class Config:
    """A config, read, overridden and checked; nothing is built and no data is touched.

    Args:
        path: YAML file; `_base_` names others that it builds on.
        learning_rate: overrides `lr_scheduler.learning_rate`.
        iters: overrides `iters`.
        batch_size: overrides `batch_size`, samples per process.
        opts: list of "a.b=value" overrides; the three above win over them.
        sections: which sections are read and checked; the others are left alone. Default: all.
        required: keys without which the config is of no use to the caller.
        test_config: flags that win over the keys of `test_config`, a dict, None for what was not given.
        as_teacher: whether it is a teacher's, whose model may be one that only teaches.

    Attributes:
        path: the file.
        dic: the config as nested dicts and lists, with `num_classes`, `ignore_index` and `mode` filled in
            where a component takes them and the file left them out.

    Raises:
        ConfigError: the file has mistakes; all of them are listed at once.
        UserError: the file cannot be read at all.
    """

    def __init__(
        self,
        path,
        learning_rate=None,
        iters=None,
        batch_size=None,
        opts=None,
        sections=SECTIONS,
        required=(),
        test_config=None,
        as_teacher=False,
    ):
        self.path = path
        self.dic, self._origins = load_config(path)
        problems = apply_overrides(self.dic, self._origins, opts)
        flags = {"lr_scheduler.learning_rate": learning_rate, "iters": iters, "batch_size": batch_size}
        given = [f"{key}={value}" for key, value in flags.items() if value is not None]
        problems += apply_overrides(self.dic, self._origins, given)
        for key in [key for key, value in flags.items() if value is not None]:
            place = tuple(key.split("."))
            if place in self._origins:
                self._origins[place] = f"--{place[-1]}"
        self._apply_test_flags(test_config or {})
        paddleseg_keys.translate(self.dic)
        problems += self._import_components()
        checker = Checker(self.dic, self._where, as_teacher)
        checker.check(sections, required)
        problems += checker.problems
        if problems:
            raise ConfigError(path, problems)
        self._drop(checker.idle)
        self._fill_in(sections)

    @property
    def iters(self):
        """Number of training iterations."""
        return self.dic["iters"]

    @property
    def batch_size(self):
        """Samples per iteration and process."""
        return self.dic["batch_size"]

    @property
    def num_classes(self):
        """The number of classes, None where the config states none."""
        return self.stated("num_classes").value

    @property
    def ignore_index(self):
        """The label of pixels that do not count, 255 where the config states none."""
        return self.stated("ignore_index").value

    @property
    def img_channels(self):
        """The channels of the images that the model takes, 3 where the config states none."""
        return self.stated("img_channels").value

    @property
    def unlabeled_per_batch(self):
        """How many images of a process's batch come from the `unlabeled_dataset`, 0 without one."""
        return num_unlabeled(self.dic)

    @property
    def training_sections(self):
        """The sections a distillation trains on: `train_dataset`, `unlabeled_dataset` or both."""
        count = self.unlabeled_per_batch
        labeled = ["train_dataset"] if count < self.batch_size else []
        return [*labeled, *(["unlabeled_dataset"] if count else [])]

    @property
    def normalization(self):
        """The `Fact` of (mean, std) by which `Normalize` changes the images that a distillation trains on.

        Raises:
            UserError: a data set does not state them, or two state different ones.
        """
        facts = [
            Fact((mean, std), self.place(*path))
            for path, mean, std in normalizations(self.dic, self.training_sections)
        ]
        for fact in facts:
            if fact.value[0] is None:
                raise UserError(f"{fact.place}: no transforms here say how images are normalised")
            if fact.value != facts[0].value:
                raise UserError(f"{fact.place}: images are normalised differently at {facts[0].place}")
        return facts[0]

    @property
    def logits_at(self):
        """Where `distill_loss` compares logits: "full", at the size of the images, or "head"."""
        return logits_at(self.dic)

    @property
    def teacher_weighting(self):
        """How the logits of several teachers are joined, "mean" or "confidence"."""
        return self.get("distill", {}).get("teacher_weighting", "mean")

    @property
    def feature_specs(self):
        """The list `distill.features`, [] where there is none."""
        return features_of(self.dic)

    @property
    def class_names(self):
        """What the classes are called, a tuple; () where no labelled data set names them."""
        return next(filter(None, map(self._names_in, DATA_SECTIONS)), ())

    @property
    def model_type(self):
        """The name of the model's class."""
        return self.dic["model"]["type"]

    @property
    def pretrained(self):
        """The weights that `model.pretrained` names, None where it names none."""
        return self.dic["model"].get("pretrained") or None

    def stated(self, name):
        """Return the `Fact` of "num_classes", "ignore_index" or "img_channels": its first value and place.

        Where the config states none, the value is the default (None, 255 and 3) and the place is the file.
        """
        found, default = {
            "num_classes": (class_counts(self.dic, SECTIONS), None),
            "ignore_index": (ignore_indices(self.dic, SECTIONS), 255),
            # The backbone's, where it states them, stand last and decide.
            "img_channels": (channel_counts(self.dic, (*DATA_SECTIONS, "model"))[::-1], 3),
        }[name]
        return Fact(found[0][1], self.place(*found[0][0])) if found else Fact(default, self.path)

    def without_weights(self):
        """Forget which weights the model and its parts begin with; shapes do not depend on weights."""
        without_weights(self.dic["model"])
        return self

    def __getitem__(self, section):
        return self.dic[section]

    def get(self, section, default=None):
        """Return a section or top-level value, `default` where the config has none."""
        value = self.dic.get(section)
        return default if value is None else value

    def __str__(self):
        return as_yaml(self.dic)

    def place(self, *path):
        """Return "file:line: a.b.0", where a key path was written and its dotted name, for messages."""
        return f"{self._where(path)}: {'.'.join(str(part) for part in path)}"

    def call(self, where):
        """Name `where` in messages, instead of the lines of a file that is no more."""
        self.path = where
        self._origins = {}

    def deployed_transforms(self, sections=DEPLOYED):
        """Return the transforms of an image alone, as the first of `sections` with some lists them.

        By default those of a deployment: of `export`, else of evaluation. Where there are none, `Normalize`.
        """
        section = self.deployed_section(sections)
        return self.dic[section]["transforms"] if section else [{"type": "Normalize"}]

    def deployed_section(self, sections=DEPLOYED):
        """Return the section whose transforms `deployed_transforms` returns, None if there is none."""
        return next((name for name in sections if (self.get(name) or {}).get("transforms")), None)

    def _names_in(self, section):
        spec = self.dic.get(section)
        return said_names(spec) or class_names(component_of(spec, DATASETS))

    def _where(self, path):
        """Return "file:line" of the nearest key at or above `path`; the file itself at the top."""
        while path and path not in self._origins:
            path = path[:-1]
        return self._origins[path] if path else self.path

    def _apply_test_flags(self, flags):
        given = [key for key, value in flags.items() if value is not None]
        section = self.dic.get("test_config")
        if not given or not isinstance(section, (dict, type(None))):
            return
        self.dic["test_config"] = with_flags(section, flags)
        self._origins.setdefault(("test_config",), "the flags")
        self._origins.update({("test_config", key): f"--{key}" for key in given})

    def _drop(self, paths):
        for *section, key in paths:
            spec = self.dic
            for part in section:
                spec = spec[part]
            del spec[key]

    def _import_components(self):
        """Import what registers components, ours and the user's; return what is wrong, one line each."""
        for module in BUILT_IN:
            importlib.import_module(module)
        modules = self.dic.get("imports") or []
        place = self._where(("imports",))
        if not isinstance(modules, list) or not all(_is_module_name(m) for m in modules):
            return [
                f"{place}: imports: must be a list of module names, such as [my_package.my_module], not "
                f"{modules!r}"
            ]
        # A base's modules lie beside that base.
        written_in = place.rpartition(":")[0]
        for path in (self.path, written_in) if modules else ():
            _search_in(os.path.dirname(os.path.abspath(path)))
        _search_in(os.getcwd())
        problems = []
        for module in modules:
            try:
                importlib.import_module(module)
            except (ImportError, SyntaxError, UserError) as error:
                problems.append(
                    f"{place}: imports: {module!r} cannot be imported ({error}); it is looked for in the "
                    f"working directory, beside the config and on PYTHONPATH"
                )
        return problems

    def _fill_in(self, sections):
        """Write what was said once to every component that takes it and was left without."""
        counts = class_counts(self.dic, sections) or class_counts(self.dic, SECTIONS)
        for section, registry in COMPONENT_SECTIONS.items():
            spec = self.dic.get(section) if section in sections else None
            if not isinstance(spec, dict):
                continue
            component = component_of(spec, registry)
            if counts and accepts(component, "num_classes"):
                spec.setdefault("num_classes", counts[0][1])
            if section in MODES and accepts(component, "mode"):
                spec.setdefault("mode", MODES[section])
            if section == "lr_scheduler" and "iters" in self.dic:
                self._fill_in_steps(spec, component)
        ignored = ignore_indices(self.dic, sections)
        for _, spec in ignoring_components(self.dic, sections) if ignored else []:
            if spec.get("ignore_index") is None:
                spec["ignore_index"] = ignored[0][1]
        if counts:
            self._fill_in_losses(sections, counts[0][1])
        if "model" in sections:
            self._fill_in_channels()

    def _fill_in_losses(self, sections, num_classes):
        """Write the number of classes, which is also the channels of logits, to the losses that take it."""
        for section in LOSS_SECTIONS:
            spec = self.dic.get(section) if section in sections else None
            names = SUPPLIED_TO_LOSSES if section == "distill_loss" else ("num_classes",)
            for item in spec["types"] if spec else []:
                for loss in (item, *nested_losses(item)):
                    known = parameters(component_of(loss, LOSSES))
                    for key in [name for name in names if name in known]:
                        loss.setdefault(key, num_classes)

    def _fill_in_channels(self):
        """Write the channels of the images to the backbone."""
        channels = channel_counts(self.dic, SECTIONS)
        backbone = (self.dic.get("model") or {}).get("backbone")
        component = component_of(backbone, BACKBONES)
        if channels and component is not None and "in_channels" in parameters(component):
            backbone.setdefault("in_channels", channels[0][1])

    def _fill_in_steps(self, schedule, component):
        """Write how long a schedule runs: what the warm-up leaves of `iters`."""
        for name in STEPS:
            if name in parameters(component) and schedule.get(name) is None:
                schedule[name] = max(self.dic["iters"] - schedule.get("warmup_iters", 0), 1)


def as_yaml(value):
    """Return a config, or a part of it, as a YAML text."""
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=None)


def _is_module_name(name):
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))


def _search_in(folder):
    if folder not in sys.path:
        sys.path.insert(0, folder)
