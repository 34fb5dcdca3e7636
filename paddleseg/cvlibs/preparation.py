"""Find out how the sections of a config prepare an image for the model, and where two of them differ."""

from typing import NamedTuple, Optional

import numpy as np

from paddleseg.cvlibs import facts, manager
from paddleseg.cvlibs.class_names import section_names
from paddleseg.utils import signature

TRAINED_ON = ("train_dataset", "unlabeled_dataset")
# Transforms of a training that a prediction repeats; the others draw, cut or add a border.
REPEATED = ("Resize", "ResizeByLong", "ResizeByShort", "LimitLong", "Normalize")
_ASSUMED = [{"type": "Normalize"}]
_TOLERANCE = 1e-3  # of mean and std; some write them with fewer digits


class Preparation(NamedTuple):
    """How an image without a mask is prepared.

    Attributes:
        transforms: list of {type: ..., key: value}.
        section: the section that states them; None if they are assumed.
        left_out: the types of the transforms that are for training alone.
    """

    transforms: list
    section: Optional[str]
    left_out: tuple = ()


class Difference(NamedTuple):
    """Two places of a config that should agree.

    Attributes:
        path, other: their key paths.
        text, other_text: what they state, in words.
        consequence: what is wrong with that.
    """

    path: tuple
    text: str
    other: tuple
    other_text: str
    consequence: str


def preparation(dic, sections):
    """Return the `Preparation` of the first of `sections` that lists transforms, else of a training.

    Of a training it has the transforms that `REPEATED` names and those of users that are `fixed`; without any
    section, a `Normalize`.

    Args:
        dic: the config; `sections` are checked, the others may hold anything.
        sections: names such as "export", the first one wins.
    """
    for section in sections:
        specs = facts.transforms(dic, section)
        if specs is not None:
            return Preparation(specs, section)
    for section in TRAINED_ON:
        specs = facts.transforms(dic, section)
        if specs is not None:
            repeated = [_without_random_interp(spec) for spec in specs if is_repeated(spec)]
            left_out = tuple(str(spec["type"]) for spec in specs if not is_repeated(spec))
            return Preparation(repeated, section, left_out)
    return Preparation(list(_ASSUMED), None)


def is_repeated(spec):
    """Return whether a prediction repeats a transform of a training, `{type: ..., key: value}`."""
    if spec["type"] in REPEATED:
        sizes = spec.get("short_size")
        return not (isinstance(sizes, (list, tuple)) and len(sizes) > 1)  # one of several would be drawn
    component = facts.component_of(spec, manager.TRANSFORMS)
    fixed = getattr(component, "fixed", False) is True and not getattr(component, "train_only", False)
    return fixed and not facts.is_built_in_transform(spec)


def _without_random_interp(spec):
    """Return a transform without `interp: RANDOM`, so that it treats all images alike."""
    return {key: value for key, value in spec.items() if (key, value) != ("interp", "RANDOM")}


def differences(dic, sections):
    """Return the `Difference`s between the given sections and those that a model was trained on.

    Args:
        dic: the config; it may have sections that are not checked.
        sections: names of data sets, or "export".
    """
    return [
        *_normalization_differences(dic, sections),
        *_range_differences(dic, sections),
        *_name_differences(dic, sections),
    ]


def misfits(dic, sections):
    """Return [(key path, values, channels)] of each mean and std that does not fit the images of its section.

    Args:
        dic: the config.
        sections: names of sections that list transforms.
    """
    channels = {fact.place[0]: fact.value for fact in facts.channel_counts(dic, sections)}
    stated = facts.stated(dic, "img_channels", sections)
    if stated.place:
        channels.setdefault("export", stated.value)
    return [
        ((section, "transforms", i, key), len(spec[key]), channels[section])
        for section in sections
        for i, spec in enumerate(facts.transforms(dic, section) or [])
        for key in ("mean", "std")
        if section in channels and spec["type"] == "Normalize" and isinstance(spec.get(key), list)
        if len(spec[key]) not in (1, channels[section])
    ]


def in_bytes(dic, sections):
    """Return [(key path, text)] of each Normalize whose mean or std is in units of bytes.

    Other projects write them so; `Normalize` has values of 0..1 before it, and hardly any would differ.

    Args:
        dic, sections: as `misfits` takes them.
    """
    found = []
    for section in sections:
        for i, spec in enumerate(facts.transforms(dic, section) or []):
            stated = {key: spec[key] for key in ("mean", "std") if facts.are_numbers(spec.get(key))}
            if spec["type"] == "Normalize" and max(map(max, stated.values()), default=0) > 1:
                meant = {key: [float(f"{value / 255:.4g}") for value in stated[key]] for key in stated}
                texts = [" and ".join(f"{k} {v}" for k, v in pairs.items()) for pairs in (stated, meant)]
                text = f"Normalize with {texts[0]}, for images of 0..1, not of 0..255; use {texts[1]}"
                found.append(((section, "transforms", i), text))
    return found


def renumbered(dic, sections):
    """Return the `Difference`s of sections that name the same classes in another order, a list."""
    return [
        difference
        for difference in _name_differences(dic, sections)
        if sorted(section_names(dic[difference.path[0]])) == sorted(section_names(dic[difference.other[0]]))
    ]


def _normalization_differences(dic, sections):
    stated = {name: facts.normalizations(dic, name) for name in dict.fromkeys([*TRAINED_ON, *sections])}
    first = next((stated[name] for name in TRAINED_ON if stated[name] is not None), None)
    others = [stated[name] for name in sections if stated[name] is not None]
    return [
        Difference(
            other.place,
            _in_words(other.value),
            first.place,
            _in_words(first.value),
            "the model meets other values than it was trained on",
        )
        for other in others
        if first is not None and not _equal(first.value, other.value)
    ]


def _range_differences(dic, sections):
    stated = {name: _img_range(dic, name) for name in dict.fromkeys([*TRAINED_ON, *sections])}
    first = next((stated[name] for name in TRAINED_ON if stated[name] is not None), None)
    others = [stated[name] for name in sections if stated[name] is not None]
    return [
        Difference(
            other.place,
            _range_in_words(other.value),
            first.place,
            _range_in_words(first.value),
            "equal values of the files become other ones for the model",
        )
        for other in others
        if first is not None and first.value != other.value
    ]


def _range_in_words(img_range):
    return "no img_range" if img_range is None else f"img_range {img_range}"


def _img_range(dic, section):
    """Return the `Fact` of the range of a data set's images, a list or None; None if it takes no range."""
    spec = dic.get(section)
    component = facts.component_of(spec, manager.DATASETS)
    if component is None or "img_range" not in signature.parameters(component):
        return None
    value = spec.get("img_range")
    value = list(value) if isinstance(value, (list, tuple)) else value
    return facts.Fact(value, (section,) if value is None else (section, "img_range"))


def _equal(one, other):
    if len(one) != len(other):
        return False
    values = [(a, b) for pair, other_pair in zip(one, other) for a, b in zip(pair, other_pair)]
    if any(len(a) != len(b) and 1 not in (len(a), len(b)) for a, b in values):
        return False
    return all(np.allclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE) for a, b in values)


def _in_words(pairs):
    if not pairs:
        return "no Normalize"
    return " and then ".join(f"Normalize with mean {list(mean)} and std {list(std)}" for mean, std in pairs)


def _name_differences(dic, sections):
    named = {name: section_names(dic.get(name)) for name in facts.DATA_SECTIONS}
    first = named["train_dataset"]
    return [
        Difference(
            _place_of_names(dic, name),
            f"the classes {', '.join(named[name])}",
            _place_of_names(dic, "train_dataset"),
            ", ".join(first),
            "a class has one name, the same in each data set",
        )
        for name in facts.DATA_SECTIONS[1:]
        if name in sections and first and named[name] and named[name] != first
    ]


def _place_of_names(dic, section):
    return (section, "class_names") if "class_names" in dic[section] else (section,)
