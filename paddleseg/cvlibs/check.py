"""Judges a config against the signatures of the components that it names, before anything is built."""

import inspect
import typing

import paddle.nn as nn

from paddleseg.cvlibs import manager, paddleseg_keys
from paddleseg.cvlibs.check_distill import AT, SUPPLIED_TO_LOSSES, DistillChecker
from paddleseg.cvlibs.facts import (
    LOSS_SECTIONS,
    channel_counts,
    class_counts,
    class_counts_of_losses,
    component_of,
    found_registry,
    ignore_indices,
    nested_losses,
)
from paddleseg.errors import UserError, suggestion
from paddleseg.options.inference import EvalConfig
from paddleseg.utils import signature

COMPONENT_SECTIONS = {
    "model": manager.MODELS,
    "train_dataset": manager.DATASETS,
    "val_dataset": manager.DATASETS,
    "unlabeled_dataset": manager.DATASETS,
    "optimizer": manager.OPTIMIZERS,
    "lr_scheduler": manager.LR_SCHEDULERS,
}
POSITIVE_INTEGERS = ("batch_size", "iters", "num_classes")
OTHER_SECTIONS = ("test_config", "export")
OTHER_KEYS = ("ignore_index", "imports", "skip_mismatched_weights")
KNOWN_KEYS = (
    *COMPONENT_SECTIONS,
    *LOSS_SECTIONS,
    "distill",
    *OTHER_SECTIONS,
    *POSITIVE_INTEGERS,
    *OTHER_KEYS,
)
# Parameters that hold a component of their own, and the registry that it comes from.
NESTED = {"backbone": manager.BACKBONES, "transforms": manager.TRANSFORMS, "losses": manager.LOSSES}
LISTS = ("transforms", "losses")  # those that hold a list of them
# What a schedule takes from `iters`, under the name that it has for it.
STEPS = ("decay_steps", "T_max")
# What the builder passes, so that a config need not.
SUPPLIED = {
    "optimizer": (),
    "lr_scheduler": STEPS,
    "train_dataset": ("mode", "num_classes"),
    "val_dataset": ("mode", "num_classes"),
    "unlabeled_dataset": ("mode", "num_classes"),
    "loss": SUPPLIED_TO_LOSSES[:1],
    "distill_loss": SUPPLIED_TO_LOSSES,
    "model": ("num_classes", "pretrained"),
}


class Checker:
    """Collects what is wrong with a config; `problems` lists it, each with its place.

    Args:
        dic: the config.
        where: function from key path (a tuple) to the place that it was written at.
        as_teacher: whether the model may be one that only teaches. Default False.

    Attributes:
        problems: one line each.
        idle: key paths of PaddleSeg's that ask for what is done anyway; nothing takes them, so they must go.
    """

    def __init__(self, dic, where, as_teacher=False):
        self.dic = dic
        self.problems = []
        self.idle = []
        self._where = where
        self._as_teacher = as_teacher
        self._others = {"test_config": self._test_config, "export": self._export, "distill": self._distill}

    def check(self, sections, required=()):
        """Check the top-level keys, the given sections, and that the `required` ones are there."""
        for key in self.dic:
            if key not in KNOWN_KEYS and not self._of_paddleseg((key,), paddleseg_keys.TOP_LEVEL):
                self._add((key,), f"unknown key {key!r}; {suggestion(key, KNOWN_KEYS)}")
        for key in required:
            if self.dic.get(key) is None:
                self._add((), f"the key {key!r} is missing")
        self._numbers()
        for section in sections:
            # Without `distill` an unlabeled_dataset still has a share of each batch.
            if self.dic.get(section) is None and section != "distill":
                continue
            if section in COMPONENT_SECTIONS:
                registry = COMPONENT_SECTIONS[section]
                self._component(self.dic[section], registry, (section,), self._supplied(section))
            elif section in LOSS_SECTIONS:
                self._losses(section)
            elif section in self._others:
                self._others[section]()
        self._same_class_count(sections)
        self._same_ignore_index(sections)
        self._same("img_channels", channel_counts(self.dic, sections), "channels")

    def _distill(self):
        DistillChecker(self.dic, self._add, self._component, self._supplied("distill_loss")).check()

    def _numbers(self):
        for key in POSITIVE_INTEGERS:
            value = self.dic.get(key)
            if value is not None and not (signature.fits(value, int) and value > 0):
                self._add((key,), f"must be a whole number above 0, not {value!r}")
        if not signature.fits(self.dic.get("ignore_index"), typing.Optional[int]):
            self._add(("ignore_index",), f"must be a whole number, not {self.dic['ignore_index']!r}")
        self._plain(self.dic.get("skip_mismatched_weights", False), bool, ("skip_mismatched_weights",))

    def _supplied(self, section):
        """Return the parameters that a section's component gets although the section does not say them."""
        counted = "num_classes" in self.dic or class_counts(self.dic, COMPONENT_SECTIONS)
        said = {
            **dict.fromkeys(SUPPLIED_TO_LOSSES, counted),
            **dict.fromkeys(STEPS, "iters" in self.dic),
        }
        return [name for name in SUPPLIED[section] if said.get(name, True)]

    def _add(self, path, message):
        place = self._where(path)
        key = ".".join(str(part) for part in path)
        self.problems.append(": ".join(part for part in (place, key, message) if part))

    def _component(self, spec, registry, path, supplied=()):
        """Check one `{type: ..., key: value, ...}` against what `type` takes."""
        if not isinstance(spec, dict):
            self._add(path, f"must hold a `type` and its keys, not {spec!r}")
            return
        name = spec.get("type")
        if name is None:
            self._add(path, f"the key 'type' is missing: it names the {registry.name}")
            return
        if not isinstance(name, str):
            self._add((*path, "type"), f"must be the name of a {registry.name}, not {name!r}")
            return
        if spec["type"] not in registry:
            options = paddleseg_keys.why_unknown(name, registry) or suggestion(name, registry)
            self._add((*path, "type"), f"unknown {registry.name} {name!r}; {options}")
            return
        component, before = registry[spec["type"]], len(self.problems)
        if getattr(component, "teacher_only", False) and not self._as_teacher:
            self._add((*path, "type"), f"{name} is a teacher alone: of distill_train.py, in --teacher_config")
        self._arguments(spec, component, path, supplied)
        if len(self.problems) == before:
            self._ask(component, spec, path)

    def _arguments(self, spec, component, path, supplied):
        """Check the keys of a `{type: ..., key: value, ...}` against the constructor that `type` names."""
        known = signature.parameters(component)
        names = [n for n, p in known.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        takes_any = any(p.kind is p.VAR_KEYWORD for p in known.values())
        for key, value in spec.items():
            if key in names:
                self._value(value, known[key], (*path, key))
            elif key == "pretrained" and key in supplied:
                self._plain(value, typing.Optional[str], (*path, key))
            elif key == "type" or (takes_any and isinstance(key, str)):
                continue
            elif not self._of_paddleseg((*path, key), paddleseg_keys.OF_COMPONENTS):
                self._add((*path, key), f"unknown key {key!r} of {spec['type']}; {suggestion(key, names)}")
        self._missing(names, known, spec, (*supplied, "type"), path)

    def _ask(self, component, spec, path):
        """Let a component with a static method `check_arguments` judge what its annotations cannot say."""
        if not hasattr(component, "check_arguments"):
            return
        try:
            component.check_arguments(**{k: v for k, v in spec.items() if signature.accepts(component, k)})
        except UserError as error:
            self._add(path, str(error))

    def _missing(self, names, known, spec, supplied, path):
        for name in names:
            if known[name].default is inspect.Parameter.empty and name not in (*spec, *supplied):
                self._add(path, f"the key {name!r} of {spec['type']} is missing")

    def _value(self, value, parameter, path):
        """Check one value: a component, a list of components, or something plain."""
        if value is None and parameter.default is None:
            return
        registry = self._registry(parameter, value)
        if registry is not None:
            if parameter.name in LISTS:
                self._list(value, registry, path)
            else:
                self._component(value, registry, path)
            return
        self._plain(value, signature.expected_type(parameter), path)
        if parameter.name in POSITIVE_INTEGERS and signature.fits(value, int) and value <= 0:
            self._add(path, f"must be a whole number above 0, not {value!r}")
        for i, item in enumerate(value if isinstance(value, list) else []):
            if found_registry(item) is not None:
                self._component(item, found_registry(item), (*path, i))

    def _list(self, value, registry, path):
        """Check a list of components; the key that it stands under says what they are."""
        if not isinstance(value, list):
            self._add(path, f"must be a list of {path[-1]}, not {value!r}")
            return
        for i, item in enumerate(value):
            self._component(item, registry, (*path, i))

    def _plain(self, value, expected, path):
        if not signature.fits(value, expected):
            self._add(path, f"must be {signature.describe(expected)}, not {value!r}")

    @staticmethod
    def _registry(parameter, value):
        if parameter.name in NESTED:
            return NESTED[parameter.name]
        # A user's own component may take another under any name, but none where it takes text, say.
        if not signature.fits({}, signature.expected_type(parameter)):
            return None
        of_layers = manager.BACKBONES if parameter.annotation is nn.Layer else None
        return found_registry(value) or of_layers

    def _of_paddleseg(self, path, table):
        """Tell whether the key at `path` is one of a table of `paddleseg_keys`, which then judges it."""
        refused = table.get(path[-1])
        if refused is None:
            return False
        value = self.dic
        for part in path:
            value = value[part]
        if value in refused.idle:
            self.idle.append(path)
        else:
            self._add(path, f"PaddleSeg's key {path[-1]!r} is not acted on here: {refused.reason}")
        return True

    def _test_config(self):
        spec, path = self.dic["test_config"], ("test_config",)
        if not isinstance(spec, dict):
            self._add(path, f"must hold keys such as aug_eval and is_slide, not {spec!r}")
            return
        known, before = signature.parameters(EvalConfig), len(self.problems)
        for key, value in spec.items():
            if key in known:
                self._value(value, known[key], (*path, key))
            elif not self._of_paddleseg((*path, key), paddleseg_keys.OF_TEST_CONFIG):
                self._add((*path, key), f"unknown key {key!r}; {suggestion(key, known)}")
        if len(self.problems) == before:
            try:
                EvalConfig(**{key: value for key, value in spec.items() if key in known})
            except UserError as error:
                self._add(path, str(error))

    def _export(self):
        """Check PaddleSeg's section for export.py: the transforms that come before the exported model."""
        spec = self.dic["export"]
        if not isinstance(spec, dict):
            self._add(("export",), f"must hold `transforms`, not {spec!r}")
            return
        for key, value in spec.items():
            if key == "transforms":
                self._list(value, manager.TRANSFORMS, ("export", key))
            else:
                self._add(("export", key), f"unknown key {key!r}; {suggestion(key, ['transforms'])}")

    def _losses(self, section):
        """Check a `{types: [...], coef: [...]}`; `distill_loss` also says where it compares, `at`."""
        spec = self.dic[section]
        if not isinstance(spec, dict):
            self._add((section,), f"must hold `types` and `coef`, not {spec!r}")
            return
        known = ("types", "coef", "at") if section == "distill_loss" else ("types", "coef")
        for key in spec:
            if key not in known:
                self._add((section, key), f"unknown key {key!r}; {suggestion(key, known)}")
        if spec.get("at", AT[0]) not in AT and "at" in known:
            self._add((section, "at"), f"must be {' or '.join(AT)}, not {spec['at']!r}")
        types, coef = spec.get("types"), spec.get("coef")
        for key, value in (("types", types), ("coef", coef)):
            if not isinstance(value, list) or not value:
                self._add((section, key), f"must be a list with at least one item, not {value!r}")
        if not isinstance(types, list) or not isinstance(coef, list):
            return
        self._coefficients(coef, section)
        if len(types) not in (1, len(coef)):
            told = f"{len(coef)} coef for {len(types)} types; there must be one for each"
            self._add((section, "coef"), told)
        for i, item in enumerate(types):
            self._loss(item, section, (section, "types", i))

    def _coefficients(self, coef, section):
        for i, value in enumerate(coef):
            if not signature.is_weight(value):
                self._add((section, "coef", i), f"must be a number of 0 or above, not {value!r}")

    def _loss(self, item, section, path):
        self._component(item, manager.LOSSES, path, self._supplied(section))
        self._misplaced(item, section, path)

    def _misplaced(self, item, section, path):
        """Check that a loss, and those that it holds, compares what its section is for."""
        against = getattr(component_of(item, manager.LOSSES), "against", None)
        if against not in (None, LOSS_SECTIONS[section]):
            told = f"{item['type']} compares the student with the {against}, so it has no place in {section}"
            self._add((*path, "type"), told)
        for i, nested in enumerate(nested_losses(item)):
            self._misplaced(nested, section, (*path, "losses", i))

    def _same_class_count(self, sections):
        said = [*class_counts(self.dic, sections), *class_counts_of_losses(self.dic, sections)]
        self._same("num_classes", said, "classes")

    def _same_ignore_index(self, sections):
        self._same("ignore_index", ignore_indices(self.dic, sections), "as ignore_index")

    def _same(self, key, said, noun):
        (first_path, first), *others = said or [((), None)]
        for path, value in others:
            if value != first:
                there = ".".join(str(part) for part in first_path)
                self._add(path, f"{value} {noun}, but {there} has {first}; they must agree ({key})")
