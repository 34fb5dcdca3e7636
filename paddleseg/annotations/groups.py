"""Which images must stay together, such as frames of one video or eyes of one patient."""

import os
import re

import numpy as np

from paddleseg.errors import UserError
from paddleseg.utils.image_files import read_names

SHOWN = 3


def groups_of(images, pattern=None, file=None):
    """Return the group of each image, an array of texts; without `pattern` and `file`, each has its own.

    Args:
        images: paths as a list holds them.
        pattern: a regular expression that is searched in each path. The group is what its own groups match,
            or, if it has none, what it matches.
        file: a text file; each line holds an image's path, file name, or file name without suffix, and after
            a blank, tab or comma its group.

    Raises:
        UserError: the pattern or the file is wrong, or gives an image no group.
    """
    if pattern is not None and file is not None:
        raise UserError("give group_pattern or group_file, not both")
    if pattern is not None:
        return _checked(images, _by_pattern(images, pattern), f"group_pattern {pattern!r} finds nothing in")
    if file is not None:
        return _checked(images, _by_file(images, file), f"{file} has no line for")
    return np.array(images)


def _by_pattern(images, pattern):
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"group_pattern {pattern!r} is no regular expression: {error}") from None
    matches = [expression.search(image) for image in images]
    return [match and ("/".join(part or "" for part in match.groups()) or match[0]) for match in matches]


def _by_file(images, file):
    group_of = {}
    for line in read_names(file):
        match = re.fullmatch(r"(.*?)\s*[\s,]\s*([^\s,]+)", line)
        if match is None:
            raise UserError(f"{file}: expected an image and its group, got {line[:200]!r}")
        if group_of.setdefault(match[1], match[2]) != match[2]:
            raise UserError(f"{file}: {match[1]!r} is in the groups {group_of[match[1]]!r} and {match[2]!r}")
    groups = []
    for image in images:
        name = os.path.basename(image)
        known = (one for one in (image, name, os.path.splitext(name)[0]) if one in group_of)
        groups.append(group_of.get(next(known, None)))
    return groups


def _checked(images, groups, refusal):
    without = [image for image, group in zip(images, groups) if not group]
    if without:
        more = f" and {len(without) - SHOWN} more" if len(without) > SHOWN else ""
        raise UserError(f"{refusal} {', '.join(map(repr, without[:SHOWN]))}{more}")
    return np.array(groups)
