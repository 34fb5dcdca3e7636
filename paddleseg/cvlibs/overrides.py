"""`--opts a.b=c loss.coef.0=2`: single values of a config, changed from the command line."""

import yaml

from paddleseg.cvlibs.yaml_file import parse_value


def apply_overrides(dic, origins, opts):
    """Set values of a nested config in place; of a key that is given twice, the last wins.

    Args:
        dic: the config, nested dicts and lists.
        origins: dict from key path to the place it was written at; the changed paths get "--opts".
        opts: strings "key.path=value"; a number in the path is the index of a list, the value is YAML and
            may hold further "=".

    Returns:
        list of problems, each one line; empty when all of them were applied.
    """
    problems = []
    for opt in opts or []:
        path, equals, text = opt.partition("=")
        if not equals or not path:
            problems.append(f"--opts {opt}: write it as key.path=value")
            continue
        try:
            value = parse_value(text)
        except (yaml.YAMLError, RecursionError):
            problems.append(f"--opts {opt}: the value {text!r} is no valid YAML, or gives a key two values")
            continue
        problem = _set(dic, path.split("."), value)
        if problem:
            problems.append(f"--opts {opt}: {problem}")
        else:
            _note_origin(dic, origins, path)
    return problems


def _set(node, parts, value):
    """Set `value` at `parts` below `node`; return what stands in the way, or None."""
    for depth, part in enumerate(parts):
        here = ".".join(parts[:depth]) or "the config"
        last = depth == len(parts) - 1
        if isinstance(node, list):
            if not part.isdecimal() or int(part) >= len(node):
                return f"{here} is a list of {len(node)}, so an index from 0 to {len(node) - 1} must follow"
            part = int(part)
        elif not isinstance(node, dict):
            return f"{here} is the value {node!r} and has nothing below it"
        if last:
            node[part] = value
        else:
            # A section that is absent or empty (Null) begins here; the checker judges its keys.
            if isinstance(node, dict) and node.get(part) is None:
                node[part] = {}
            node = node[part]
    return None


def _note_origin(dic, origins, path):
    place, node = (), dic
    for part in path.split("."):
        place = (*place, int(part) if isinstance(node, list) else part)
        node = node[place[-1]]
        if place not in origins:
            origins[place] = "--opts"
    for below in [p for p in origins if p[: len(place)] == place]:
        del origins[below]
    origins[place] = "--opts"
