"""Reads the `distill_config.py` that a user edits: two adaptors and a list of feature losses."""

import importlib.util
import os

from paddleseg.distill.adaptor import AdaptorBase, told
from paddleseg.distill.declared import Feature
from paddleseg.errors import UserError, suggestion
from paddleseg.utils.signature import is_weight

KEYS = {
    "feature_type": str,
    "s_feature_idx": int,
    "t_feature_idx": int,
    "loss_function": str,
    "weight": (int, float),
}


def load_distill_file(path):
    """Run a user's file and return what it declares.

    Args:
        path: a Python file with `prepare_distill_adaptor()` and `prepare_distill_config()`.

    Returns:
        (student's adaptor class, teacher's adaptor class, list of `Feature`).

    Raises:
        UserError: there is no such file, a function is missing, or what it returns is not of the form.
    """
    if not os.path.isfile(path):
        raise UserError(f"--distill_config: there is no file {path}")
    module = _run(path)
    returned = _call(module, "prepare_distill_adaptor", path)
    if not (isinstance(returned, (tuple, list)) and len(returned) == 2):
        raise UserError(f"{path}: prepare_distill_adaptor() must return two classes, student and teacher")
    for adaptor in returned:
        if not (isinstance(adaptor, type) and hasattr(adaptor, "mapping_layers")):
            raise UserError(
                f"{path}: prepare_distill_adaptor() returned {adaptor!r}, which is no class derived from "
                f"AdaptorBase"
            )
        if adaptor.mapping_layers is AdaptorBase.mapping_layers:
            raise UserError(f"{path}: the class {adaptor.__name__} must define mapping_layers()")
    features = check_features(_call(module, "prepare_distill_config", path), path)
    return (*returned, [as_feature(feature, path, i) for i, feature in enumerate(features)])


def as_feature(feature, path, i):
    """Return item `i` of `prepare_distill_config()`, checked, as a `Feature`; other keys are the loss's."""
    return Feature(
        student=f"{feature['feature_type']}_{feature['s_feature_idx']}",
        teacher=f"{feature['feature_type']}_{feature['t_feature_idx']}",
        loss={**{k: v for k, v in feature.items() if k not in KEYS}, "type": feature["loss_function"]},
        place=lambda *keys: f"{path}: prepare_distill_config(), item {i}",
        weight=feature["weight"],
    )


def check_features(features, path):
    """Return the feature dicts as a list, after checking keys and types; `{}` and `[]` are none.

    Args:
        features: what `prepare_distill_config()` returned: a list of dicts, or one dict.
        path: the file, for messages.

    Raises:
        UserError: all that is wrong with them, in one message.
    """
    features = [features] if isinstance(features, dict) and features else features or []
    if not isinstance(features, (list, tuple)):
        raise UserError(f"{path}: prepare_distill_config() must return a list of dicts, not {features!r}")
    problems = []
    for i, feature in enumerate(features):
        if not isinstance(feature, dict):
            problems.append(f"item {i}: must be a dict, not {feature!r}")
            continue
        problems += [f"item {i}: {problem}" for problem in _problems(feature)]
    if problems:
        raise UserError("\n  ".join([f"{path}: prepare_distill_config():", *problems]))
    return list(features)


def _problems(feature):
    problems = []
    for key, kind in KEYS.items():
        if key not in feature:
            close = [k for k in feature if k not in KEYS]
            problems.append(f"the key {key!r} is missing" + (f"; {suggestion(key, close)}" if close else ""))
        elif not isinstance(feature[key], kind) or isinstance(feature[key], bool):
            names = {str: "text", int: "a whole number"}
            problems.append(f"{key!r} must be {names.get(kind, 'a number')}, not {feature[key]!r}")
        elif key == "weight" and not is_weight(feature[key]):
            problems.append(f"'weight' must be a finite number of 0 or above, not {feature[key]!r}")
    return problems


def _run(path):
    with open(path, "rb") as file:  # what its encoding is, is for Python to judge
        if b"paddleslim" in file.read():
            _lend_adaptor_base()
    spec = importlib.util.spec_from_file_location("distill_config", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # it is the user's file: what is wrong there is theirs to mend
        raise UserError(f"{path} cannot be imported: {told(error)}") from error
    return module


def _lend_adaptor_base():
    """Let `from paddleslim.dygraph.dist import AdaptorBase` work; released PaddleSlims have lost it."""
    import paddleslim.dygraph.dist as dist

    if not hasattr(dist, "AdaptorBase"):
        dist.AdaptorBase = AdaptorBase


def _call(module, name, path):
    function = getattr(module, name, None)
    if not callable(function):
        raise UserError(f"{path}: the function {name}() is missing")
    try:
        return function()
    except Exception as error:
        raise UserError(f"{path}: {name}() fails: {told(error)}") from error
