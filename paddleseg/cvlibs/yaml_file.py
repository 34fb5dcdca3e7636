"""Read a YAML file and its `_base_` files into one dict, and note the line of each key."""

import ast
import json
import os
import re

import yaml

from paddleseg.errors import UserError

BASE_KEY = "_base_"
IN_PYTHON = "<dict>"  # what messages name in the place of a file
INHERIT_KEY = "_inherited_"
# Aliases and merge keys may stand for one another: a few lines can mean more than fits in memory.
MAX_BYTES, MAX_VALUES, MAX_MERGED = 1 << 20, 100_000, 1000
_COLLECTION_TAGS = ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")
_MERGE_TAG = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, reading 1e-4 and 1.5e4 as numbers: YAML 1.1 wants 1.0e-4 and 1.5e+4."""

    def construct_object(self, node, deep=False):
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # text that looks like a date or a number, and is none
            raise _refusal(node, f"{node.value!r} has no value ({error}); quote it if it is text") from None

    def flatten_mapping(self, node):
        """Write what "<<" names into a mapping."""
        merged = [value for key, value in node.value if key.tag == _MERGE_TAG]
        _limit(node, max((len(value.value) for value in merged), default=0), MAX_MERGED)
        super().flatten_mapping(node)
        _limit(node, len(node.value), MAX_MERGED)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def _refusal(node, problem):
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _limit(node, count, most):
    if count > most:
        raise _refusal(node, f"with its aliases it holds more than {most} values")


def parse_value(text):
    """Return the Python value of a YAML scalar or flow collection, as written after `--opts key=`.

    As in PaddleSeg, numbers with commas between them, with or without parentheses, are a list: 0.75,1.0

    Raises:
        yaml.YAMLError: `text` is no YAML, or gives a key two values.
    """
    if text == "None":
        return None
    reader = _Reader("opts")
    value = reader.read(text)
    if reader.duplicates:
        raise yaml.YAMLError(f"it gives a key two values: {'; '.join(reader.duplicates)}")
    return _listed_numbers(value) if isinstance(value, str) else value


def quoted_path(path):
    """Return an absolute path, in quotes if it needs them, from which `parse_value` returns the path."""
    try:
        unchanged = parse_value(path) == path
    except yaml.YAMLError:
        unchanged = False
    return path if unchanged else json.dumps(path, ensure_ascii=False)


def _listed_numbers(text):
    """Return the numbers of a text that Python takes for a tuple or list of them, else the text."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    numbers = isinstance(value, (tuple, list)) and all(type(item) in (int, float) for item in value)
    return list(value) if numbers else text


def config_from(source):
    """Return `load_config` of a path, or the same of a config that is a dict already.

    Args:
        source: a path, or nested dicts and lists of plain values. Its `_base_` is relative to the working
            directory. It is not changed.

    Raises:
        UserError: as `load_config`; or a key or a value of the dict cannot stand in YAML.
    """
    if not isinstance(source, dict):
        return load_config(source)
    origins = {}
    own = _plain(source, (), origins)
    return _with_bases(own, origins, os.curdir, ())


def _plain(value, place, origins):
    """Return a copy of a config's value in which tuples are lists; note its key paths in `origins`."""
    origins[place] = IN_PYTHON
    if isinstance(value, dict):
        wrong = [key for key in value if not isinstance(key, (str, int))]
        if wrong:
            raise UserError(f"{IN_PYTHON}: {_dotted(place)} has the key {wrong[0]!r}; a key must be text")
        return {key: _plain(item, (*place, key), origins) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, (*place, i), origins) for i, item in enumerate(value)]
    if value is None or isinstance(value, (str, bool)) or type(value) in (int, float):
        return value
    raise UserError(
        f"{IN_PYTHON}: {_dotted(place)} is of the type {type(value).__name__}; a config holds text, numbers, "
        f"lists and dicts, and names components as {{'type': name}}"
    )


def _dotted(place):
    return ".".join(map(str, place)) or "the config"


def load_config(path):
    """Return `(dic, origins)`: the config with its bases merged in, and where each key is written.

    A key of the file wins over the bases', dicts are merged key by key, anything else is replaced whole;
    `_inherited_: False` inside a dict drops what the bases have there. Of several bases the later wins.

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
    chain = (*chain, path)
    if path in chain[:-1]:
        raise UserError(f"{BASE_KEY} goes in a circle: {' -> '.join(chain)}")
    return _with_bases(*read_mapping(path), os.path.dirname(path), chain)


def _with_bases(own, own_origins, folder, chain):
    """Return a config merged with its bases, whose paths are relative to `folder`."""
    bases = own.pop(BASE_KEY, None) or []
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise UserError(f"{own_origins[(BASE_KEY,)]}: {BASE_KEY} must be a path or a list of paths")
    dic, origins = {}, {}
    for base in bases:
        base_path = os.path.normpath(os.path.join(folder, os.path.expanduser(base)))
        if not os.path.isfile(base_path):
            raise UserError(f"{own_origins[(BASE_KEY,)]}: {BASE_KEY}: there is no file {base_path}")
        base_dic, base_origins = _load(base_path, chain)
        dic = merged(dic, base_dic)
        origins.update(base_origins)
    return merged(dic, own), {**origins, **own_origins}


def merged(base, own):
    """Return a config that has another one as its base, without an `_inherited_` of either."""
    result = {} if own.get(INHERIT_KEY, True) is False else dict(base)
    for key, value in own.items():
        if isinstance(value, dict):
            below = result.get(key)
            value = merged(below if isinstance(below, dict) else {}, value)
        if key != INHERIT_KEY:
            result[key] = value
    return result


def read_mapping(path, kind="config file"):
    """Return `(dic, origins)` as `load_config` does, of one file alone; a `_base_` is a key as any other.

    Args:
        path: the YAML file.
        kind: what messages call it. Default "config file".

    Raises:
        UserError: as `load_config`.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"there is no {kind} {path}") from None
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a name that no file can have
        raise UserError(f"the {kind} {path} cannot be read: {error}") from None
    if len(text) > MAX_BYTES:
        raise UserError(f"the {kind} {path} holds more than {MAX_BYTES} characters")
    reader = _Reader(path)
    try:
        dic = reader.read(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(dic, (dict, type(None))):
        raise UserError(f"{path} must hold keys and values, not a {type(dic).__name__}")
    if reader.duplicates:
        raise UserError(f"{path} gives a key two values: {'; '.join(reader.duplicates)}")
    return dic or {}, reader.origins


class _Reader:
    """Turns one YAML text into Python values, and notes the line of each key and the keys with two values."""

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
        _limit(node, self._values, MAX_VALUES)
        self.origins[place] = f"{self.path}:{node.start_mark.line + 1}"
        # construct_object refuses tags such as !!python/object, but does not construct the collections here.
        if isinstance(node, yaml.CollectionNode) and node.tag not in _COLLECTION_TAGS:
            raise _refusal(node, f"the tag {node.tag!r} is not allowed")
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
                raise _refusal(key_node, f"a key must be text, not {key!r}")
            dic[key] = self._value(loader, value_node, (*place, key))
            self.origins[(*place, key)] = f"{self.path}:{key_node.start_mark.line + 1}"
        return dic

    def _note_contradictions(self, loader, node, place):
        """Note each key that has a second, different value."""
        # An alias brings the same node again, by then with the keys that it overrides merged in.
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        first = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE_TAG:
                continue
            key, line = str(loader.construct_object(key_node, deep=True)), key_node.start_mark.line + 1
            if key in first:
                first_line, first_node = first[key]
                # 1, 1.0 and true are equal to Python.
                one, other = (repr(self._value(loader, n, (*place, key))) for n in (first_node, value_node))
                if one != other:
                    name = ".".join(map(str, (*place, key)))
                    self.duplicates.append(f"{name!r} in lines {first_line} and {line}")
            first[key] = (line, value_node)
