"""Change single values of a config, as `--opts a.b=c loss.coef.0=2` does."""

import yaml

from paddleseg.cvlibs.yaml_file import parse_value


def apply_overrides(dic, origins, opts, source="option opts"):
    """Set values of a nested config in place; of a key that is given twice, the last wins.

    Args:
        dic: the config, nested dicts and lists.
        origins: dict from key path to the place where it is written. The changed paths get `source`.
        opts: strings "key.path=value". A number in the path is the index of a list; the value is YAML and
            may hold further "=". None for none.
        source: what gives the values, for messages. Default "option opts".

    Returns:
        list of problems, each one line; empty when all of them were applied.
    """
    problems = []
    for opt in opts or []:
        path, equals, text = opt.partition("=")
        if not equals or not path:
            problems.append(f"{source}: {opt}: write it as key.path=value")
            continue
        try:
            value = parse_value(text)
        except (yaml.YAMLError, RecursionError):
            problems.append(
                f"{source}: {opt}: the value {text!r} is no valid YAML, or gives a key two values"
            )
            continue
        keys, problem = _set(dic, path.split("."), value)
        if problem:
            problems.append(f"{source}: {opt}: {problem}")
        else:
            _note_origin(origins, keys, source)
    return problems


def _set(node, names, value):
    """Set `value` at the path `names` below `node`; return (its key path, None), or (None, why not)."""
    keys = []
    for key in names:
        here = ".".join(names[: len(keys)]) or "the config"
        if isinstance(node, list):
            if not key.isdecimal() or int(key) >= len(node):
                last = len(node) - 1
                return None, f"{here} is a list of {len(node)}, so an index from 0 to {last} must follow"
            key = int(key)
        elif not isinstance(node, dict):
            return None, f"{here} is the value {node!r} and has nothing below it"
        keys.append(key)
        if len(keys) == len(names):
            node[key] = value
        else:
            # A section that is absent or empty (Null) is created here; the checker checks its keys.
            if isinstance(node, dict) and node.get(key) is None:
                node[key] = {}
            node = node[key]
    return tuple(keys), None


def _note_origin(origins, keys, source):
    """Record that `source` wrote the value at a key path, and all values below it."""
    for depth in range(1, len(keys)):
        origins.setdefault(keys[:depth], source)
    for below in [path for path in origins if path[: len(keys)] == keys]:
        del origins[below]
    origins[keys] = source
