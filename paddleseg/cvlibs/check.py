"""Checks a config by the signatures of the components that it names, before anything is built."""

import inspect

import paddle.nn as nn

from paddleseg.cvlibs import facts, manager, paddleseg_keys, preparation, rules
from paddleseg.cvlibs.fill_in import STEPS, SUPPLIED, SUPPLIED_TO_LOSSES
from paddleseg.errors import UserError, counted, suggestion
from paddleseg.utils import signature

# Parameters that hold a component, and the registry that has it.
NESTED = {"backbone": manager.BACKBONES, "transforms": manager.TRANSFORMS, "losses": manager.LOSSES}
LISTS = ("transforms", "losses")  # those that hold a list of them


class Checker:
    """Collects the mistakes of a config.

    Args:
        dic: the config.
        where: function from key path (a tuple) to "file:line".
        as_teacher: whether the model may be teacher-only (see `TeacherOnly`). Default False.

    Attributes:
        problems: one line for each mistake, with its place.
        idle: list of (dict, key) of PaddleSeg's keys that ask for what is done anyway. They must be dropped,
            since no component takes them.
        ignored: list of keys at the top that PaddleSeg ignores: a warning in a config without mistakes.
    """

    def __init__(self, dic, where, as_teacher=False):
        self.dic = dic
        self.problems = []
        self.idle = []
        self.ignored = []
        self._where = where
        self._as_teacher = as_teacher

    def check(self, sections, required=()):
        """Check the top-level keys, the given sections, and that the `required` keys have values.

        The sections of labels may be missing where a distillation has no labels. A training by labels alone
        refuses such a config when it builds them.
        """
        if "distill" in sections and facts.without_labels(self.dic):
            required = [key for key in required if key not in facts.LABEL_SECTIONS]
        rules.top_level(self, sections, required)
        if "distill" in sections:  # without it an unlabeled_dataset still has a share of each batch
            rules.unlabeled_share(self)
        self._agree("num_classes", facts.class_counts(self.dic, sections, of_losses=True), "classes")
        self._agree("ignore_index", facts.ignored_labels(self.dic, sections), "as ignore_index")
        self._agree("img_channels", facts.channel_counts(self.dic, _with_training(sections)), "channels")
        for path, count, channels in preparation.misfits(self.dic, sections):
            self.add(path, f"{counted(count, 'value')} for images of {counted(channels, 'channel')}")
        if set(facts.DATA_SECTIONS).issubset(sections):
            self._order_of_names()

    def add(self, path, problem):
        """Note a problem at a key path."""
        key = ".".join(map(str, path))
        self.problems.append(": ".join(text for text in (self._where(path), key, problem) if text))

    def unknown(self, spec, key, path, known, refused=(), owner=""):
        """Note a key that nothing takes.

        Args:
            spec, key, path: the dict, the key, and the key's path.
            known: the keys that there are.
            refused: the table of `paddleseg_keys` to look it up in.
            owner: what does not have the key, such as " of ResNet18_vd".
        """
        if len(path) == 1 and paddleseg_keys.is_ignored(key, known, refused):
            self.ignored.append(key)
        elif key not in refused:
            why_flag = paddleseg_keys.why_flag(key, path)
            self.add(path, why_flag or f"unknown key {key!r}{owner}; {suggestion(key, known)}")
        elif spec[key] in refused[key].idle:
            self.idle.append((spec, key))
        else:
            self.add(path, f"PaddleSeg's key {key!r} has no effect here: {refused[key].reason}")

    def supplied(self, section):
        """Return the parameters that a section's component is given where the section does not state them."""
        classes_known = "num_classes" in self.dic or facts.class_counts(self.dic, facts.COMPONENT_SECTIONS)
        unknown = () if classes_known else SUPPLIED_TO_LOSSES
        if self.dic.get("iters") is None:
            unknown += STEPS
        return [name for name in SUPPLIED.get(section, ()) if name not in unknown]

    def component(self, spec, registry, path, supplied=()):
        """Check one `{type: ..., key: value, ...}`.

        Args:
            spec: the value.
            registry: where `type` is looked up.
            path: its key path.
            supplied: parameters that it is given from elsewhere. Default: none.
        """
        name = spec.get("type") if isinstance(spec, dict) else None
        if not isinstance(spec, dict):
            self.add(path, f"must hold a `type` and its keys, not {spec!r}")
        elif name is None:
            self.add(path, f"the key 'type' is missing: it names the {registry.name}")
        elif not isinstance(name, str):
            self.add((*path, "type"), f"must be the name of a {registry.name}, not {name!r}")
        elif name not in registry:
            remedy = paddleseg_keys.why_unknown(name, registry) or registry.remedy(name)
            self.add((*path, "type"), f"unknown {registry.name} {name!r}; {remedy}")
            self._components_of_unknown(spec, path)
        else:
            self._arguments(spec, registry[name], path, supplied)

    def _components_of_unknown(self, spec, path):
        """Check the components among the keys of an unknown one, whose mistakes would else come later."""
        for key in NESTED:
            if spec.get(key) is not None:
                self.value(spec[key], inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY), (*path, key))

    def try_call(self, function, spec, path):
        """Call a function with the keys of a dict that it takes, and note the `UserError` that it raises."""
        try:
            function(**{k: v for k, v in spec.items() if k != "type" and signature.accepts(function, k)})
        except UserError as error:
            self.add(path, str(error))

    def value(self, value, parameter, path):
        """Check the value of one parameter: a component, a list of components, or something plain."""
        if value is None and parameter.default is None:
            return
        registry = self._registry(parameter, value)
        if registry is not None and parameter.name in LISTS:
            rules.list_of(rules.component(registry, ()), parameter.name)(self, value, path)
        elif registry is not None:
            self.component(value, registry, path)
        elif not signature.fits(value, signature.expected_type(parameter)):
            expected = signature.describe(signature.expected_type(parameter))
            self.add(path, f"must be {expected}, not {value!r}")
        else:
            if parameter.name in ("batch_size", "iters", "num_classes") and signature.fits(value, int):
                rules.COUNT(self, value, path)
            for i, item in enumerate(value if isinstance(value, list) else []):
                if facts.registry_of(item) is not None:
                    self.component(item, facts.registry_of(item), (*path, i))

    def _arguments(self, spec, component, path, supplied):
        """Check the keys of a `{type: ..., key: value, ...}` against the constructor of its component."""
        problems_before, owner = len(self.problems), f" of {spec['type']}"
        if getattr(component, "teacher_only", False) and not self._as_teacher:
            problem = "can only be a teacher: name this config as teacher_config"
            self.add((*path, "type"), f"{spec['type']} {problem}")
        parameters = signature.parameters(component)
        known = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        for key, value in spec.items():
            if key in known:
                self.value(value, known[key], (*path, key))
            elif key in rules.OF_EVERY_MODEL and key in supplied:
                rules.OF_EVERY_MODEL[key](self, value, (*path, key))
            elif key != "type" and not (takes_any and isinstance(key, str)):
                self.unknown(spec, key, (*path, key), known, paddleseg_keys.OF_COMPONENTS, owner)
        for name, parameter in known.items():
            if parameter.default is inspect.Parameter.empty and name not in (*spec, *supplied, "type"):
                self.add(path, f"the key {name!r}{owner} is missing")
        if hasattr(component, "check_arguments") and len(self.problems) == problems_before:
            self.try_call(component.check_arguments, spec, path)

    @staticmethod
    def _registry(parameter, value):
        """Return the registry of the component that a parameter holds, None if it holds none."""
        if parameter.name in NESTED:
            return NESTED[parameter.name]
        # A user's component may take another under any name, but not where it takes text, for example.
        if not signature.fits({}, signature.expected_type(parameter)):
            return None
        return facts.registry_of(value) or (manager.BACKBONES if parameter.annotation is nn.Layer else None)

    def _agree(self, key, stated, noun):
        """Check that all `Fact`s, of the key `key`, have the value of the first; `noun` is for messages."""
        for value, path in stated[1:]:
            first, place = stated[0]
            if value != first:
                first_key, line = ".".join(map(str, place)), self._where(place)
                problem = f"{value} {noun}, but {first_key} ({line}) has {first}; they must agree ({key})"
                self.add(path, problem)

    def _order_of_names(self):
        """Check that data sets which name the same classes give them the same numbers."""
        for found in preparation.renumbered(self.dic, facts.DATA_SECTIONS):
            there = f"{'.'.join(found.other)} ({self._where(found.other)}) has {found.other_text}"
            self.add(found.path, f"{found.text}, but {there}; a class has one number in all data sets")


def _with_training(sections):
    """Return sections; with one of a data set, also that of the training, whose images the model knows."""
    return (*sections, "train_dataset") if "val_dataset" in sections else sections
