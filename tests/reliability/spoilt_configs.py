"""Configs that chance has spoilt, as text; strategies of Hypothesis."""

import copy
import importlib
import typing

import yaml
from hypothesis import strategies as st

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.config import BUILT_IN
from paddleseg.utils import signature

NUMBERS = [
    *(
        0,
        -1,
        1,
        2,
        3,
        4,
        7,
        16,
        32,
        255,
        256,
        0.1,
        1.0,
        2.0,
        2**31,
        2**63,
        -(10**30),
        10**30,
        0.5,
        -0.5,
        1.5,
        1e-300,
        1e308,
    ),
    *(float("nan"), float("inf"), float("-inf"), True, False),
]
EXTREMES = [
    *NUMBERS,
    None,
    *("", " ", "x" * 3000, "nan", "1", "é\u202e🙂", "a\0b", "../..", "/dev/null", "%s {0}", "\n\n"),
    *([], {}, [[]], [None], [1, 2], [0, 0], [-1, 5], [1e9, 1e9], [10**9, 10**9], ["a"], [1] * 50),
    *(
        {"type": "Nope"},
        {"type": None},
        {"type": 3},
        {"type": []},
        {"type": "TinyNet"},
        {"type": "Normalize"},
    ),
    *({"type": "CrossEntropyLoss"}, {"type": "Dataset"}, {"a": {"b": {"c": 1}}}, {1: 2}),
]
PIECES = [
    *(
        ":",
        "{",
        "}",
        "[",
        "]",
        "&a ",
        "*a",
        "!",
        "|",
        ">",
        "'",
        '"',
        "%",
        "@",
        "`",
        "\t",
        "#",
        "-",
        "- ",
        "? ",
    ),
    *("\n", "---\n", "...\n", "<<: ", "!!python/object/apply:os.system [true]", "!!binary x", "!!set {a}"),
    *("\ufeff", "\u2028", "é", "🙂", "0x", "1e", "~", "&x [*x]", "_base_: c.yml\n", "_base_: []\n"),
    *("_base_: nowhere.yml\n", "_inherited_: False\n", "2020-13-45", "=", "\x07"),
]


def places(tree):
    """Return (container, key) of everything below the top, the top's own keys first."""
    found = []
    for container in _containers(tree):
        keys = container if isinstance(container, dict) else range(len(container))
        found += [(container, key) for key in keys]
    return found


def _containers(tree):
    if isinstance(tree, (dict, list)):
        yield tree
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _containers(value)


@st.composite
def spoilt_trees(draw, base):
    """Draw a config as a dict, one to three things of `base` changed."""
    tree = copy.deepcopy(base)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        every = places(tree)
        if not every:
            break
        container, key = draw(st.sampled_from(every))
        draw(st.sampled_from(CHANGES))(draw, container, key, every)
    return tree


def _delete(draw, container, key, every):
    del container[key]


def _misspell(draw, container, key, every):
    if isinstance(container, dict) and isinstance(key, str):
        at = draw(st.integers(0, len(key)))
        container[key[:at] + draw(st.sampled_from(["x", "_", " ", "é", ""])) + key[at + 1 :]] = container.pop(
            key
        )
    else:
        _replace(draw, container, key, every)


def _replace(draw, container, key, every):
    container[key] = copy.deepcopy(draw(st.sampled_from(EXTREMES)))


def _number(draw, container, key, every):
    """Put another number where there is one, and one into a list of them."""
    value = container[key]
    if isinstance(value, list) and value and all(isinstance(item, (int, float)) for item in value):
        container, key = value, draw(st.integers(0, len(value) - 1))
    if isinstance(container[key], (int, float)):
        container[key] = draw(st.sampled_from(NUMBERS))
    else:
        _replace(draw, container, key, every)


def _swap(draw, container, key, every):
    other, place = draw(st.sampled_from(every))
    container[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(container[key])


def _wrap(draw, container, key, every):
    value = container[key]
    container[key] = draw(
        st.sampled_from([[value], {"type": value}, {"a": value}, [value, value], str(value)])
    )


def _add(draw, container, key, every):
    value = copy.deepcopy(draw(st.sampled_from(EXTREMES)))
    if isinstance(container, dict):
        container[
            draw(st.sampled_from(["extra", "pretrained", "num_classes", "ignore_index", "type", "mode"]))
        ] = value
    else:
        container.append(value)


CHANGES = [_delete, _misspell, _replace, _replace, _number, _number, _number, _number, _swap, _wrap, _add]


@st.composite
def spoilt_texts(draw, base):
    """Draw a config as bytes: text of which pieces are missing, doubled or strange."""
    text = yaml.safe_dump(
        base, sort_keys=False, default_flow_style=draw(st.sampled_from([None, False, True]))
    )
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(start + 40, len(text))))
        new = draw(st.sampled_from([*PIECES, text[start:end] * 2, ""]))
        text = text[:start] + new + text[end:]
    encoding = draw(st.sampled_from(["utf-8"] * 8 + ["utf-16", "latin-1"]))
    return text.encode(encoding, errors="replace")


def spoilt_configs(base):
    """Return a strategy of config files as bytes."""
    trees = spoilt_trees(base).map(lambda tree: yaml.safe_dump(tree, allow_unicode=True).encode())
    return st.one_of(*[trees] * 4, *[odd_components(base)] * 3, spoilt_texts(base))


@st.composite
def odd_components(draw, base):
    """Draw a config as bytes in which one component is another, with arguments of the right kind but odd."""
    tree = copy.deepcopy(base)
    place, registry = draw(st.sampled_from(sorted(PLACES)))
    name = draw(st.sampled_from(sorted(registry_of(registry))))
    spec = {"type": name}
    for parameter in signature.parameters(registry_of(registry)[name]).values():
        if parameter.name in NEEDED or draw(st.booleans()):
            value = _odd_value(draw, parameter)
            if value is not None:
                spec[parameter.name] = value
    *above, last = place
    node = tree
    for key in above:
        node = node[key]
    node[last] = spec
    return yaml.safe_dump(tree, allow_unicode=True).encode()


PLACES = [
    (("train_dataset", "transforms", 1), "TRANSFORMS"),
    (("train_dataset", "transforms", 1), "TRANSFORMS"),
    (("train_dataset", "transforms", 1), "TRANSFORMS"),
    (("val_dataset", "transforms", 0), "TRANSFORMS"),
    (("loss", "types", 0), "LOSSES"),
    (("optimizer",), "OPTIMIZERS"),
    (("lr_scheduler",), "LR_SCHEDULERS"),
]
NEEDED = ("target_size", "learning_rate", "scale", "losses", "coef", "short_size", "long_size")
LENGTHS = [0, 1, 2, 3, 8, 16, 31, 32, 33, 64, -4, 2**15, 2**31, 10**30]
SHARES = [0, 0.1, 0.25, 0.5, 0.9, 1, 1.5, 2, -1, 100, 1e308, 1e-300, float("nan"), float("inf")]


def _odd_value(draw, parameter):
    default, expected = parameter.default, signature.expected_type(parameter)
    for kind, values in ((bool, [True, False]), (int, LENGTHS), (float, [*SHARES, *LENGTHS])):
        if expected == kind or expected == typing.Optional[kind]:
            return draw(st.sampled_from(values))
    if isinstance(default, str) or expected in (str, typing.Optional[str]):
        return draw(
            st.sampled_from([default if isinstance(default, str) else "x", "LINEAR", "mean", "", "é"])
        )
    if expected == typing.Sequence[int] or isinstance(default, (list, tuple)):
        number = st.sampled_from(LENGTHS if expected == typing.Sequence[int] else [*SHARES, *LENGTHS[:8]])
        size = len(default) if isinstance(default, (list, tuple)) else 2
        return draw(st.lists(number, min_size=max(size - 1, 0), max_size=size + 1))
    return draw(st.sampled_from([None, [32, 32], [0.5, 0.5], 32, 0.5, "x"]))


def registry_of(name):
    """Return a registry with everything of ours in it."""
    for module in BUILT_IN:
        importlib.import_module(module)
    return getattr(manager, name)
