"""Judges a config against the signatures of the components that it names, before anything is built."""

import inspect
import typing

import paddle.nn as nn

from paddleseg.cvlibs import manager, signature
from paddleseg.errors import suggestion

COMPONENT_SECTIONS = {
    "model": manager.MODELS,
    "train_dataset": manager.DATASETS,
    "val_dataset": manager.DATASETS,
    "optimizer": manager.OPTIMIZERS,
    "lr_scheduler": manager.LR_SCHEDULERS,
}
LOSS_SECTIONS = {"loss": "label", "distill_loss": "teacher"}
POSITIVE_INTEGERS = ("batch_size", "iters", "num_classes")
OTHER_KEYS = ("ignore_index", "imports")
KNOWN_KEYS = (*COMPONENT_SECTIONS, *LOSS_SECTIONS, *POSITIVE_INTEGERS, *OTHER_KEYS)
# Parameters that hold a component of their own, and the registry that it comes from.
NESTED = {"backbone": manager.BACKBONES, "transforms": manager.TRANSFORMS}
# What the builder passes, so that a config need not.
SUPPLIED = {
    "optimizer": (),
    "lr_scheduler": ("decay_steps",),
    "train_dataset": ("mode", "num_classes"),
    "val_dataset": ("mode", "num_classes"),
    "model": ("num_classes", "pretrained"),
}


class Checker:
    """Collects what is wrong with a config; `problems` lists it, each with its place.

    Args:
        dic: the config.
        where: function from key path (a tuple) to the place that it was written at.
    """

    def __init__(self, dic, where):
        self.dic = dic
        self.problems = []
        self._where = where

    def check(self, sections, required=()):
        """Check the top-level keys, the given sections, and that the `required` ones are there."""
        for key in self.dic:
            if key not in KNOWN_KEYS:
                self._add((key,), f"unknown key {key!r}; {suggestion(key, KNOWN_KEYS)}")
        for key in required:
            if self.dic.get(key) is None:
                self._add((), f"the key {key!r} is missing")
        self._numbers()
        for section in sections:
            if self.dic.get(section) is None:
                continue
            if section in COMPONENT_SECTIONS:
                registry = COMPONENT_SECTIONS[section]
                self._component(self.dic[section], registry, (section,), self._supplied(section))
            else:
                self._losses(section)
        self._same_class_count(sections)
        self._same_ignore_index(sections)

    def _numbers(self):
        for key in POSITIVE_INTEGERS:
            value = self.dic.get(key)
            if value is not None and not (signature.fits(value, int) and value > 0):
                self._add((key,), f"must be a whole number above 0, not {value!r}")
        if not signature.fits(self.dic.get("ignore_index"), typing.Optional[int]):
            self._add(("ignore_index",), f"must be a whole number, not {self.dic['ignore_index']!r}")

    def _supplied(self, section):
        """Return the parameters that a section's component gets although the section does not say them."""
        said = {
            "num_classes": "num_classes" in self.dic or class_counts(self.dic, COMPONENT_SECTIONS),
            "decay_steps": "iters" in self.dic,
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
            options = suggestion(spec["type"], registry)
            self._add((*path, "type"), f"unknown {registry.name} {spec['type']!r}; {options}")
            return
        known = signature.parameters(registry[spec["type"]])
        names = [n for n, p in known.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        takes_any = any(p.kind is p.VAR_KEYWORD for p in known.values())
        for key, value in spec.items():
            if key in names:
                self._value(value, known[key], (*path, key))
            elif key == "pretrained" and key in supplied:
                self._plain(value, typing.Optional[str], (*path, key))
            elif key != "type" and not (takes_any and isinstance(key, str)):
                self._add((*path, key), f"unknown key {key!r} of {spec['type']}; {suggestion(key, names)}")
        self._missing(names, known, spec, (*supplied, "type"), path)

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
            if registry is manager.TRANSFORMS:
                if not isinstance(value, list):
                    self._add(path, f"must be a list of transforms, not {value!r}")
                    return
                for i, item in enumerate(value):
                    self._component(item, registry, (*path, i))
            else:
                self._component(value, registry, path)
            return
        self._plain(value, signature.expected_type(parameter), path)
        if parameter.name in POSITIVE_INTEGERS and signature.fits(value, int) and value <= 0:
            self._add(path, f"must be a whole number above 0, not {value!r}")
        for i, item in enumerate(value if isinstance(value, list) else []):
            if found_registry(item) is not None:
                self._component(item, found_registry(item), (*path, i))

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

    def _losses(self, section):
        """Check a `{types: [...], coef: [...]}`."""
        spec = self.dic[section]
        if not isinstance(spec, dict):
            self._add((section,), f"must hold `types` and `coef`, not {spec!r}")
            return
        for key in spec:
            if key not in ("types", "coef"):
                self._add((section, key), f"unknown key {key!r}; {suggestion(key, ('types', 'coef'))}")
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
            if not signature.fits(value, float) or not value >= 0:
                self._add((section, "coef", i), f"must be a number of 0 or above, not {value!r}")

    def _loss(self, item, section, path):
        self._component(item, manager.LOSSES, path)
        against = getattr(component_of(item, manager.LOSSES), "against", None)
        if against not in (None, LOSS_SECTIONS[section]):
            told = f"{item['type']} compares the student with the {against}, so it has no place in {section}"
            self._add((*path, "type"), told)

    def _same_class_count(self, sections):
        self._same("num_classes", class_counts(self.dic, sections), "classes")

    def _same_ignore_index(self, sections):
        self._same("ignore_index", ignore_indices(self.dic, sections), "as ignore_index")

    def _same(self, key, said, noun):
        (first_path, first), *others = said or [((), None)]
        for path, value in others:
            if value != first:
                there = ".".join(str(part) for part in first_path)
                self._add(path, f"{value} {noun}, but {there} has {first}; they must agree ({key})")


def registry_of(name):
    """Return the registry that holds a component of that name, or None."""
    registries = (manager.BACKBONES, manager.MODELS, manager.LOSSES, manager.TRANSFORMS, manager.DATASETS)
    return next((r for r in registries if name in r), None)


def found_registry(spec):
    """Return the registry that holds what a `{type: ...}` names, or None; also for any other value."""
    name = spec.get("type") if isinstance(spec, dict) else None
    return registry_of(name) if isinstance(name, str) else None


def component_of(spec, registry):
    """Return the class or function that a `{type: ...}` names, or None if there is none."""
    name = spec.get("type") if isinstance(spec, dict) else None
    return registry[name] if isinstance(name, str) and name in registry else None


def class_counts(dic, sections):
    """Return [(key path, number of classes)] for every place of the config that says one."""
    said = []
    if signature.fits(dic.get("num_classes"), int):
        said.append((("num_classes",), dic["num_classes"]))
    for section in ("model", "train_dataset", "val_dataset"):
        if section not in sections or not isinstance(dic.get(section), dict):
            continue
        spec = dic[section]
        if signature.fits(spec.get("num_classes"), int):
            said.append(((section, "num_classes"), spec["num_classes"]))
        elif section != "model":
            fixed = getattr(component_of(spec, manager.DATASETS), "NUM_CLASSES", None)
            if fixed is not None:
                said.append(((section,), fixed))
    return said


def ignore_indices(dic, sections):
    """Return [(key path, ignored label)] for every place of the config that says one."""
    said = []
    if signature.fits(dic.get("ignore_index"), int):
        said.append((("ignore_index",), dic["ignore_index"]))
    for path, spec in ignoring_components(dic, sections):
        if signature.fits(spec.get("ignore_index"), int):
            said.append(((*path, "ignore_index"), spec["ignore_index"]))
    return said


def ignoring_components(dic, sections):
    """Yield (key path, spec) of each dataset and loss whose constructor takes `ignore_index`."""
    for section in ("train_dataset", "val_dataset"):
        component = component_of(dic.get(section), manager.DATASETS) if section in sections else None
        if component is not None and signature.accepts(component, "ignore_index"):
            yield (section,), dic[section]
    for section in LOSS_SECTIONS:
        spec = dic.get(section)
        types = spec.get("types") if section in sections and isinstance(spec, dict) else None
        for i, item in enumerate(types if isinstance(types, list) else []):
            component = component_of(item, manager.LOSSES)
            if component is not None and signature.accepts(component, "ignore_index"):
                yield (section, "types", i), item
