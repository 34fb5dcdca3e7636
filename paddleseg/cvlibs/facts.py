"""The facts that a config states, in one place or in several, each with its place."""

from typing import Any, NamedTuple

from paddleseg.cvlibs import manager
from paddleseg.utils import signature

COMPONENT_SECTIONS = {
    "model": manager.MODELS,
    "train_dataset": manager.DATASETS,
    "val_dataset": manager.DATASETS,
    "unlabeled_dataset": manager.DATASETS,
    "optimizer": manager.OPTIMIZERS,
    "lr_scheduler": manager.LR_SCHEDULERS,
}
DATA_SECTIONS = ("train_dataset", "val_dataset")  # those with labels
LOSS_SECTIONS = {"loss": "label", "distill_loss": "teacher"}  # what each compares the student with
SECTIONS = (*COMPONENT_SECTIONS, *LOSS_SECTIONS, "distill", "test_config", "export")
# Sections that training without a teacher does not read.
DISTILLATION_SECTIONS = ("distill", "distill_loss", "unlabeled_dataset")
DEFAULT_SHARE = 0.5
# Sections that a distillation without labels does not read.
LABEL_SECTIONS = ("train_dataset", "loss")
AUTO = "auto"  # a weight that is measured at the start of a training


class Fact(NamedTuple):
    """A value that a config states.

    Attributes:
        value: the value.
        place: where: a key path such as ("model", "num_classes"). A `Config` writes it as messages do,
            "config.yml:3: model.num_classes".
    """

    value: Any
    place: Any


def stated(dic, name, sections=SECTIONS):
    """Return the `Fact` of "num_classes", "ignore_index" or "img_channels".

    The first statement in `sections` counts, else the first anywhere; of channels, the backbone's counts
    before those of the data sets. Without one the value is None, 255 or 3, and the place is ().
    """
    find, default = {
        "num_classes": (class_counts, None),
        "ignore_index": (ignored_labels, 255),
        "img_channels": (lambda *args: channel_counts(*args)[::-1], 3),  # the backbone's first
    }[name]
    return next(iter([*find(dic, sections), *find(dic, SECTIONS)]), Fact(default, ()))


def class_counts(dic, sections=SECTIONS, of_losses=False):
    """Return the `Fact`s of the number of classes: at the top, of model and data sets, perhaps of losses."""
    model = [(("model",), dic.get("model"), None)] if "model" in sections else []
    in_losses = [(*loss, None) for loss in losses(dic, sections)] if of_losses else []
    data = _data(dic, sections, "NUM_CLASSES")
    return _numbers("num_classes", [((), dic, None), *model, *data, *in_losses])


def ignored_labels(dic, sections=SECTIONS):
    """Return the `Fact`s of the label that is ignored: at the top, of data sets and of losses."""
    defaults = {path: label for path, _, label in _data(dic, sections, "IGNORE_INDEX")}
    places = [(path, spec, defaults.pop(path, None)) for path, spec in ignoring_components(dic, sections)]
    # The class of a data set may state a label that its constructor does not take.
    rest = [(path, None, label) for path, label in defaults.items()]
    return _numbers("ignore_index", [((), dic, None), *rest, *places])


def channel_counts(dic, sections=SECTIONS):
    """Return the `Fact`s of the channels of images: of each data set that takes them, and of the backbone."""
    places = []
    for section in (*DATA_SECTIONS, "unlabeled_dataset"):
        component = component_of(dic.get(section), manager.DATASETS) if section in sections else None
        parameter = signature.parameters(component).get("img_channels") if component else None
        if parameter is not None:
            places.append(((section,), dic[section], parameter.default))
    model = dic.get("model") if "model" in sections else None
    backbone = model.get("backbone") if isinstance(model, dict) else None
    return [
        *_numbers("img_channels", places),
        *_numbers("in_channels", [(("model", "backbone"), backbone, None)]),
    ]


def transforms(dic, section):
    """Return the list of transforms of a section, None if it has none or one that is no component."""
    spec = dic.get(section)
    specs = spec.get("transforms") if isinstance(spec, dict) else None
    good = isinstance(specs, list) and all(isinstance(item, dict) and item.get("type") for item in specs)
    return specs if good else None


def is_built_in_transform(spec):
    """Return whether a `{type: ...}` names a transform of this project."""
    component = component_of(spec, manager.TRANSFORMS)
    return component is not None and component.__module__.startswith("paddleseg.transforms.")


def normalizations(dic, section):
    """Return the `Fact` of ((mean, std), ...), one pair for each `Normalize`; None if that is unknown.

    A user's own transform may normalise as well, so it is unknown what such a one does without `Normalize`.

    Args:
        dic: the config, which may be unchecked.
        section: the name of a section that lists transforms.
    """
    specs = transforms(dic, section)
    if specs is None:
        return None
    parameters = signature.parameters(manager.TRANSFORMS["Normalize"])
    places = [i for i, spec in enumerate(specs) if spec["type"] == "Normalize"]
    pairs = [tuple(specs[i].get(key, parameters[key].default) for key in ("mean", "std")) for i in places]
    if not all(are_numbers(values) for pair in pairs for values in pair):
        return None
    if not pairs and not all(map(is_built_in_transform, specs)):
        return None
    as_tuples = tuple(tuple(map(tuple, pair)) for pair in pairs)
    return Fact(as_tuples, (section, "transforms", *places[:1]))


def normalization(dic, section):
    """Return the `Fact` of the (mean, std) of a section's images; None if it is unknown or none.

    Without a `Normalize` the values of images go from 0 to 255, which is a mean of 0 and a std of 1 / 255.

    Args:
        dic, section: as in `normalizations`.
    """
    found = normalizations(dic, section)
    if found is None or len(found.value) > 1:
        return None
    mean, std = found.value[0] if found.value else ((0.0,), (1 / 255,))
    return found._replace(value=(mean, std)) if all(std) else None


def are_numbers(values):
    """Return whether a value is a list of numbers, and not empty."""
    return isinstance(values, (list, tuple)) and values and all(signature.fits(v, float) for v in values)


def num_unlabeled(dic):
    """Return how many images of a process's batch come from the `unlabeled_dataset` of a checked config."""
    if not dic.get("unlabeled_dataset"):
        return 0
    return count_of_share(distill_section(dic).get("unlabeled_share", DEFAULT_SHARE), dic["batch_size"])


def count_of_share(share, batch_size):
    """Return how many images of a batch have no label: the nearest whole number, halves upwards."""
    return int(share * batch_size + 0.5)


def problem_of_share(share, batch_size):
    """Return why a share of a batch, above 0 and up to 1, cannot be without labels; None if it can."""
    count = count_of_share(share, batch_size)
    if count > 0 and (count < batch_size or share == 1):
        return None
    return f"{share} of batch_size {batch_size} is {count}; each kind needs at least one image"


def without_labels(dic):
    """Return whether no image of a distillation has a mask; the config may be unchecked."""
    return bool(dic.get("unlabeled_dataset")) and distill_section(dic).get("unlabeled_share") == 1


def distill_section(dic):
    """Return the section `distill`, {} where there is none."""
    spec = dic.get("distill")
    return spec if isinstance(spec, dict) else {}


def features(dic):
    """Return the list `distill.features`, [] where there is none."""
    specs = distill_section(dic).get("features")
    return specs if isinstance(specs, list) else []


def losses(dic, sections=SECTIONS):
    """Yield (key path, spec) of each loss of the sections, and of those that it holds."""
    for section in LOSS_SECTIONS:
        spec = dic.get(section) if section in sections else None
        types = spec.get("types") if isinstance(spec, dict) else None
        for i, loss in enumerate(types if isinstance(types, list) else []):
            yield from with_nested(loss, (section, "types", i))
    for i, feature in enumerate(features(dic) if "distill" in sections else []):
        if isinstance(feature, dict):
            yield from with_nested(feature.get("loss"), ("distill", "features", i, "loss"))


def with_nested(spec, path):
    """Yield (key path, spec) of a loss and of the losses that it holds, as a `MixedLoss` does."""
    yield path, spec
    nested = spec.get("losses") if isinstance(spec, dict) else None
    for i, loss in enumerate(nested if isinstance(nested, list) else []):
        yield from with_nested(loss, (*path, "losses", i))


def automatic_weights(dic):
    """Return the key paths of the weights of distillation losses that are `auto`."""
    section = dic.get("distill_loss")
    coef = section.get("coef") if isinstance(section, dict) else None
    is_auto = coef == AUTO or (isinstance(coef, list) and AUTO in coef)
    of_features = [
        ("distill", "features", i, "weight")
        for i, spec in enumerate(features(dic))
        if isinstance(spec, dict) and spec.get("weight") == AUTO
    ]
    return [*([("distill_loss", "coef")] if is_auto else []), *of_features]


def ignoring_components(dic, sections=SECTIONS):
    """Yield (key path, spec) of each data set and loss whose constructor takes `ignore_index`."""
    data = [
        ((section,), dic.get(section), manager.DATASETS) for section in DATA_SECTIONS if section in sections
    ]
    for path, spec, registry in [*data, *((*loss, manager.LOSSES) for loss in losses(dic, sections))]:
        component = component_of(spec, registry)
        if component is not None and signature.accepts(component, "ignore_index"):
            yield path, spec


def component_of(spec, registry):
    """Return the class or function that a `{type: ...}` names, None for anything else."""
    name = spec.get("type") if isinstance(spec, dict) else None
    return registry[name] if isinstance(name, str) and name in registry else None


def registry_of(spec):
    """Return the registry that holds what a `{type: ...}` names, None for anything else."""
    registries = (manager.BACKBONES, manager.MODELS, manager.LOSSES, manager.TRANSFORMS, manager.DATASETS)
    return next((r for r in registries if component_of(spec, r) is not None), None)


def _data(dic, sections, name):
    """Return [(key path, spec, what the class's attribute `name` states)] of the data sets with labels."""
    specs = [((section,), dic.get(section)) for section in DATA_SECTIONS if section in sections]
    return [(path, spec, getattr(component_of(spec, manager.DATASETS), name, None)) for path, spec in specs]


def _numbers(key, places):
    """Return the `Fact`s of a whole number, from (key path, spec, value where the spec states none)."""
    facts = []
    for path, spec, default in places:
        value = spec.get(key) if isinstance(spec, dict) else None
        if signature.fits(value, int):
            facts.append(Fact(value, (*path, key)))
        elif signature.fits(default, int):
            facts.append(Fact(default, path))
    return facts


class BatchContents:
    """What the batches of a training hold, by the attributes `batch_size` and `unlabeled_per_batch`."""

    @property
    def has_labels(self):
        """Whether a distillation's batches hold images with masks: not where `unlabeled_share` is 1."""
        return self.unlabeled_per_batch < self.batch_size

    @property
    def training_sections(self):
        """The sections that a distillation trains on: `train_dataset`, `unlabeled_dataset` or both."""
        labeled = ["train_dataset"] if self.has_labels else []
        return [*labeled, *(["unlabeled_dataset"] if self.unlabeled_per_batch else [])]
