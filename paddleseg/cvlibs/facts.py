"""What a config says in several places, which must agree, and which components say it."""

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.check_distill import feature_loss_specs
from paddleseg.utils import signature

DATA_SECTIONS = ("train_dataset", "val_dataset")  # those with labels
LOSS_SECTIONS = {"loss": "label", "distill_loss": "teacher"}


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


def without_weights(spec):
    """Drop `pretrained` from a model's section and from what stands in it; shapes do not depend on it."""
    spec.pop("pretrained", None)
    for value in spec.values():
        if isinstance(value, dict):
            without_weights(value)


def nested_losses(spec):
    """Return the list that a loss holds other losses in, such as a MixedLoss; [] if it holds none."""
    losses = spec.get("losses") if isinstance(spec, dict) else None
    return losses if isinstance(losses, list) else []


def class_counts(dic, sections):
    """Return [(key path, number of classes)] for every place of the config that says one."""
    said = []
    if signature.fits(dic.get("num_classes"), int):
        said.append((("num_classes",), dic["num_classes"]))
    for section in ("model", *DATA_SECTIONS):
        if section not in sections or not isinstance(dic.get(section), dict):
            continue
        spec = dic[section]
        if signature.fits(spec.get("num_classes"), int):
            said.append(((section, "num_classes"), spec["num_classes"]))
        elif section != "model":
            fixed = _fixed(dic, section, "NUM_CLASSES")
            if fixed is not None:
                said.append(((section,), fixed))
    return said


def _fixed(dic, section, name):
    """Return what the class of a section's dataset says once for all, None where it says nothing."""
    return getattr(component_of(dic.get(section), manager.DATASETS), name, None)


def channel_counts(dic, sections):
    """Return [(key path, channels of the images)] for each dataset that knows them, and for the backbone."""
    said = []
    for section in (*DATA_SECTIONS, "unlabeled_dataset"):
        component = component_of(dic.get(section), manager.DATASETS) if section in sections else None
        known = signature.parameters(component).get("img_channels") if component is not None else None
        if known is None:
            continue
        if "img_channels" in dic[section]:
            said.append(((section, "img_channels"), dic[section]["img_channels"]))
        else:
            said.append(((section,), known.default))
    model = dic.get("model") if "model" in sections else None
    backbone = model.get("backbone") if isinstance(model, dict) else None
    if isinstance(backbone, dict) and "in_channels" in backbone:
        said.append((("model", "backbone", "in_channels"), backbone["in_channels"]))
    return [(path, count) for path, count in said if signature.fits(count, int)]


def image_channels(dic):
    """Return the channels of the images that a config's model takes: 3 where nothing is said of them."""
    counts = channel_counts(dic, (*DATA_SECTIONS, "model"))
    return counts[-1][1] if counts else 3  # the backbone's, if it says so, stands last


def ignore_indices(dic, sections):
    """Return [(key path, ignored label)] for every place of the config that says one."""
    said = []
    if signature.fits(dic.get("ignore_index"), int):
        said.append((("ignore_index",), dic["ignore_index"]))
    for section in DATA_SECTIONS:
        fixed = _fixed(dic, section, "IGNORE_INDEX") if section in sections else None
        if fixed is not None and not signature.fits(dic[section].get("ignore_index"), int):
            said.append(((section,), fixed))
    for path, spec in ignoring_components(dic, sections):
        if signature.fits(spec.get("ignore_index"), int):
            said.append(((*path, "ignore_index"), spec["ignore_index"]))
    return said


def normalizations(dic, sections):
    """Return [(key path, mean, std)] for the images of each dataset, as `Normalize` takes them.

    Without a `Normalize` they are of values from 0 to 255, which is a mean of 0 and a std of 1 / 255.

    Args:
        dic: a checked config.
        sections: names of datasets; one that lists no transforms says nothing, and None stands for both.
    """
    said = []
    for section in sections:
        specs = dic[section].get("transforms")
        if specs is None:
            said.append(((section,), None, None))
            continue
        found = [i for i, spec in enumerate(specs) if spec["type"] == "Normalize"]
        if not found:
            said.append(((section, "transforms"), (0.0,), (1 / 255,)))
        for i in found:
            known = signature.parameters(manager.TRANSFORMS["Normalize"])
            mean, std = (tuple(specs[i].get(key, known[key].default)) for key in ("mean", "std"))
            said.append(((section, "transforms", i), mean, std))
    return said


def ignoring_components(dic, sections):
    """Yield (key path, spec) of each dataset and loss whose constructor takes `ignore_index`."""
    for section in DATA_SECTIONS:
        component = component_of(dic.get(section), manager.DATASETS) if section in sections else None
        if component is not None and signature.accepts(component, "ignore_index"):
            yield (section,), dic[section]
    for path, spec in _losses(dic, sections):
        component = component_of(spec, manager.LOSSES)
        if component is not None and signature.accepts(component, "ignore_index"):
            yield path, spec


def class_counts_of_losses(dic, sections):
    """Return [(key path, number of classes)] for every loss of the config that says one."""
    return [
        ((*path, "num_classes"), spec["num_classes"])
        for path, spec in _losses(dic, sections)
        if isinstance(spec, dict) and signature.fits(spec.get("num_classes"), int)
    ]


def _losses(dic, sections):
    """Yield (key path, spec) of every loss of the config, with those that others hold."""
    for section in LOSS_SECTIONS:
        spec = dic.get(section)
        types = spec.get("types") if section in sections and isinstance(spec, dict) else None
        for i, item in enumerate(types if isinstance(types, list) else []):
            yield from _with_nested(item, (section, "types", i))
    for path, item in feature_loss_specs(dic) if "distill" in sections else []:
        yield from _with_nested(item, path)


def _with_nested(spec, path):
    """Yield (key path, spec) of a loss and of those that it holds."""
    yield path, spec
    for i, nested in enumerate(nested_losses(spec)):
        yield from _with_nested(nested, (*path, "losses", i))
