"""A YAML file to a checked dict."""

import importlib
import os
import sys

import yaml

from paddleseg.cvlibs import paddleseg_keys
from paddleseg.cvlibs.check import COMPONENT_SECTIONS, OTHER_SECTIONS, STEPS, Checker
from paddleseg.cvlibs.check_distill import SUPPLIED_TO_LOSSES
from paddleseg.cvlibs.eval_config import with_flags
from paddleseg.cvlibs.manager import BACKBONES, LOSSES
from paddleseg.cvlibs.overrides import apply_overrides
from paddleseg.cvlibs.said import (
    LOSS_SECTIONS,
    channel_counts,
    class_counts,
    component_of,
    ignore_indices,
    ignoring_components,
    nested_losses,
)
from paddleseg.cvlibs.signature import accepts, parameters
from paddleseg.cvlibs.yaml_file import load_config
from paddleseg.errors import UserError

# Reached as a user's own components are: by importing the module that registers them.
BUILT_IN = (
    "paddleseg.models",
    "paddleseg.datasets",
    "paddleseg.transforms",
    "paddleseg.optimizers",
    "paddleseg.distill.connectors",
    "paddleseg.distill.onnx_teacher",
)
SECTIONS = (*COMPONENT_SECTIONS, *LOSS_SECTIONS, "distill", *OTHER_SECTIONS)
# Of the data sets' modes, the one whose samples need no mask.
MODES = {"train_dataset": "train", "val_dataset": "val", "unlabeled_dataset": "test"}


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
