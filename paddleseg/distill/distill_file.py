"""Read the `distill_config.py` that a user edits: two adaptors and a list of feature losses."""

import importlib.util
import os

from paddleseg.cvlibs.facts import AUTO
from paddleseg.distill.adaptor import AdaptorBase, describe_error
from paddleseg.distill.features import AdaptorName, Feature
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
        UserError: the file or a function in it is missing, or a function returns something else.
    """
    if not os.path.isfile(path):
        raise UserError(f"distill_config: there is no file {path}")
    module = _run(path)
    adaptors = _call(module, "prepare_distill_adaptor", path)
    if not (isinstance(adaptors, (tuple, list)) and len(adaptors) == 2):
        raise UserError(f"{path}: prepare_distill_adaptor() must return two classes, student and teacher")
    for adaptor in adaptors:
        if not (isinstance(adaptor, type) and hasattr(adaptor, "mapping_layers")):
            raise UserError(
                f"{path}: prepare_distill_adaptor() returned {adaptor!r}, which is no class derived from "
                f"AdaptorBase"
            )
        if adaptor.mapping_layers is AdaptorBase.mapping_layers:
            raise UserError(f"{path}: the class {adaptor.__name__} must define mapping_layers()")
    items = checked_items(_call(module, "prepare_distill_config", path), path)
    return (*adaptors, [as_feature(item, path, i) for i, item in enumerate(items)])


def as_feature(item, path, i):
    """Return a checked item of `prepare_distill_config()`, number `i`, as a `Feature`.

    Keys other than those of `KEYS`, and `share` beside a weight of "auto", are arguments of the loss.
    """
    return Feature(
        student=AdaptorName(f"{item['feature_type']}_{item['s_feature_idx']}"),
        teacher=AdaptorName(f"{item['feature_type']}_{item['t_feature_idx']}"),
        loss={**{k: v for k, v in item.items() if k not in _known(item)}, "type": item["loss_function"]},
        weight=item["weight"],
        share=item.get("share", 1) if item["weight"] == AUTO else 1,
        connector="none",
        # Messages name the item, not its key, which differs from that of a config.
        place=lambda *keys: f"{path}: prepare_distill_config(), item {i}",
    )


def _known(item):
    """Return the keys of an item that are not arguments of its loss."""
    return [*KEYS, *(["share"] if item["weight"] == AUTO else [])]


def checked_items(items, path):
    """Return `prepare_distill_config()`'s items as a list of dicts; one dict becomes a list of one.

    Args:
        items: what `prepare_distill_config()` returned: a list of dicts, or one dict; `{}`, `[]` or None for
            none.
        path: the file, for messages.

    Raises:
        UserError: keys or types are wrong; one message lists all mistakes.
    """
    if not items:
        return []
    if isinstance(items, dict):
        items = [items]
    if not isinstance(items, (list, tuple)):
        raise UserError(f"{path}: prepare_distill_config() must return a list of dicts, not {items!r}")
    problems = [f"item {i}: {problem}" for i, item in enumerate(items) for problem in _problems(item)]
    if problems:
        raise UserError("\n  ".join([f"{path}: prepare_distill_config():", *problems]))
    return list(items)


def _problems(item):
    """Return what is wrong with one item, a list of texts."""
    if not isinstance(item, dict):
        return [f"must be a dict, not {item!r}"]
    problems = []
    share = item.get("share", 1)
    if item.get("weight") == AUTO and not (is_weight(share) and share > 0):
        problems.append(f"'share' must be a number above 0, not {share!r}")
    for key, type_ in KEYS.items():
        if key == "weight" and item.get(key) == AUTO:
            continue
        if key not in item:
            others = [k for k in item if k not in KEYS]
            remedy = f"; {suggestion(key, others)}" if others else ""
            problems.append(f"the key {key!r} is missing{remedy}")
        elif not isinstance(item[key], type_) or isinstance(item[key], bool):
            expected = {str: "text", int: "a whole number"}.get(type_, "a number or 'auto'")
            problems.append(f"{key!r} must be {expected}, not {item[key]!r}")
        elif key == "weight" and not is_weight(item[key]):
            problems.append(f"'weight' must be a finite number of 0 or above, not {item[key]!r}")
    return problems


def _run(path):
    with open(path, "rb") as file:  # as bytes, since only Python knows the encoding
        if b"paddleslim" in file.read():
            _add_adaptor_base_to_paddleslim()
    spec = importlib.util.spec_from_file_location("distill_config", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises, the user can mend
        raise UserError(f"{path} cannot be imported: {describe_error(error)}") from error
    return module


def _add_adaptor_base_to_paddleslim():
    """Let `from paddleslim.dygraph.dist import AdaptorBase` work; released PaddleSlims no longer have it."""
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
        raise UserError(f"{path}: {name}() fails: {describe_error(error)}") from error
