"""`--opts a.b=c loss.coef.0=2`: single values of a config that a command changes."""

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


def _set(node, parts, value):
    """Set `value` at `parts` below `node`; return (its key path, None) or (None, why that is impossible)."""
    keys = []
    for part in parts:
        here = ".".join(parts[: len(keys)]) or "the config"
        if isinstance(node, list):
            if not part.isdecimal() or int(part) >= len(node):
                last = len(node) - 1
                return None, f"{here} is a list of {len(node)}, so an index from 0 to {last} must follow"
            part = int(part)
        elif not isinstance(node, dict):
            return None, f"{here} is the value {node!r} and has nothing below it"
        keys.append(part)
        if len(keys) == len(parts):
            node[part] = value
        else:
            # A section that is absent or empty (Null) is created here; the checker checks its keys.
            if isinstance(node, dict) and node.get(part) is None:
                node[part] = {}
            node = node[part]
    return tuple(keys), None


def _note_origin(origins, keys, source):
    for depth in range(1, len(keys)):
        origins.setdefault(keys[:depth], source)
    for below in [path for path in origins if path[: len(keys)] == keys]:
        del origins[below]
    origins[keys] = source
