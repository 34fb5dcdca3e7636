"""A YAML file, and what its `_base_` names, to one dict, each key with the place it was written at."""

import ast
import os
import re

import yaml

from paddleseg.errors import UserError

BASE_KEY = "_base_"
INHERIT_KEY = "_inherited_"
# Aliases and merge keys may stand for one another: a few lines can mean more than fits in memory.
MAX_BYTES, MAX_VALUES, MAX_MERGED = 1 << 20, 100_000, 1000
_COLLECTION_TAGS = ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, reading 1e-4 and 1.5e4 as numbers: YAML 1.1 wants 1.0e-4 and 1.5e+4."""

    def construct_object(self, node, deep=False):
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # text that looks like a date or a number, and is none
            told = f"{node.value!r} has no value ({error}); quote it if it is text"
            raise yaml.constructor.ConstructorError(None, None, told, node.start_mark) from None

    def flatten_mapping(self, node):
        """Write what "<<" names into a mapping."""
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge" and len(value_node.value) > MAX_MERGED:
                self.refuse(node, MAX_MERGED)
        super().flatten_mapping(node)
        if len(node.value) > MAX_MERGED:
            self.refuse(node, MAX_MERGED)

    @staticmethod
    def refuse(node, most):
        """Raise what says that a node stands for too much."""
        told = f"with its aliases it holds more than {most} values"
        raise yaml.constructor.ConstructorError(None, None, told, node.start_mark)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def parse_value(text):
    """Return the Python value of a YAML scalar or flow collection, as written after `--opts key=`.

    Numbers with commas between them, in parentheses or without, are a list, as for PaddleSeg: 0.75,1.0

    Raises:
        yaml.YAMLError: `text` is no YAML, or says a key twice, differently.
    """
    if text == "None":
        return None
    reader = _Reader("--opts")
    value = reader.read(text)
    if reader.duplicates:
        raise yaml.YAMLError(f"it says a key twice, differently: {'; '.join(reader.duplicates)}")
    return _listed_numbers(value) if isinstance(value, str) else value


def _listed_numbers(text):
    """Return the numbers of a text that Python takes for a tuple or list of them, else the text."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    numbers = isinstance(value, (tuple, list)) and all(type(item) in (int, float) for item in value)
    return list(value) if numbers else text


def load_config(path):
    """Return `(dic, origins)`: the config with its bases merged in, and where each key was written.

    A key of the file wins over the bases', dicts are merged key by key, anything else is replaced whole;
    `_inherited_: False` inside a dict drops what the bases say there. Of several bases the later wins.

    Args:
        path: the YAML file.

    Returns:
        dic: nested dicts, lists and scalars.
        origins: dict from key path (a tuple) to "file:line".

    Raises:
        UserError: a file that is absent, no YAML, no mapping, gives a key two values, or is its own base.
    """
    return _load(os.path.normpath(path), ())


def _load(path, chain):
    if path in chain:
        raise UserError(f"{BASE_KEY} goes in a circle: {' -> '.join([*chain, path])}")
    own, own_origins = _read(path)
    bases = own.pop(BASE_KEY, None) or []
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise UserError(f"{own_origins[(BASE_KEY,)]}: {BASE_KEY} must be a path or a list of paths")
    dic, origins = {}, {}
    for base in bases:
        folder = os.path.dirname(path)
        base_path = os.path.normpath(os.path.join(folder, os.path.expanduser(base)))
        if not os.path.isfile(base_path):
            raise UserError(f"{own_origins[(BASE_KEY,)]}: {BASE_KEY}: there is no file {base_path}")
        base_dic, base_origins = _load(base_path, (*chain, path))
        dic = _merge(dic, base_dic)
        origins.update(base_origins)
    origins.update(own_origins)
    return _merge(dic, own), origins


def _merge(base, own):
    own = dict(own)
    if own.pop(INHERIT_KEY, True) is False:
        base = {}
    merged = dict(base)
    for key, value in own.items():
        if isinstance(value, dict):
            below = merged.get(key)
            value = _merge(below if isinstance(below, dict) else {}, value)
        merged[key] = value
    return merged


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"there is no config file {path}") from None
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a name that no file can have
        raise UserError(f"the config file {path} cannot be read: {error}") from None
    if len(text) > MAX_BYTES:
        raise UserError(f"the config file {path} holds more than {MAX_BYTES} characters")
    reader = _Reader(path)
    try:
        dic = reader.read(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from None
    if dic is None:
        dic = {}
    if not isinstance(dic, dict):
        raise UserError(f"{path} must hold keys and values, not a {type(dic).__name__}")
    if reader.duplicates:
        raise UserError(f"{path} says a key twice, differently: {'; '.join(reader.duplicates)}")
    return dic, reader.origins


class _Reader:
    """Turns one YAML text into Python values while noting the line of each key."""

    def __init__(self, path):
        self.path = path
        self.origins = {}
        self.duplicates = []
        self._seen = set()
        self._values = 0

    def read(self, text):
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else self._value(loader, node, ())
        finally:
            loader.dispose()

    def _value(self, loader, node, place):
        self._values += 1
        if self._values > MAX_VALUES:
            loader.refuse(node, MAX_VALUES)
        self.origins[place] = f"{self.path}:{node.start_mark.line + 1}"
        if isinstance(node, yaml.CollectionNode) and node.tag not in _COLLECTION_TAGS:
            # Such as !!python/object: construct_object would refuse it, but is not asked for collections.
            raise yaml.constructor.ConstructorError(
                None, None, f"the tag {node.tag!r} is not allowed", node.start_mark
            )
        if isinstance(node, yaml.SequenceNode):
            return [self._value(loader, item, (*place, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(loader, node, place)
        return loader.construct_object(node)

    def _mapping(self, loader, node, place):
        self._note_contradictions(loader, node, place)
        loader.flatten_mapping(node)  # YAML's own merge key, "<<"
        dic = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int)):
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key must be text, not {key!r}", key_node.start_mark
                )
            dic[key] = self._value(loader, value_node, (*place, key))
            self.origins[(*place, key)] = f"{self.path}:{key_node.start_mark.line + 1}"
        return dic

    def _note_contradictions(self, loader, node, place):
        """Note each key that is said again with another value."""
        # An alias comes here again, by then with the keys that it overrides merged in.
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        said = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = str(loader.construct_object(key_node, deep=True))
            line = key_node.start_mark.line + 1
            if key in said:
                before, other = said[key]
                # 1, 1.0 and true are equal to Python.
                values = [repr(self._value(loader, one, (*place, key))) for one in (other, value_node)]
                if values[0] != values[1]:
                    name = ".".join(str(part) for part in (*place, key))
                    self.duplicates.append(f"{name!r} in lines {before} and {line}")
            said[key] = (line, value_node)
