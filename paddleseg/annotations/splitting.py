"""Divide a data set into train, val and test, so that each has its share of every class."""

import os

import numpy as np

from paddleseg.annotations.classes import IGNORE_INDEX
from paddleseg.annotations.conversion import REMEDY
from paddleseg.annotations.groups import groups_of
from paddleseg.annotations.lists import (
    ALL,
    CONFIG,
    TEST,
    TRAIN,
    VAL,
    list_files,
    names_in,
    pairs_in,
    usual_channels,
)
from paddleseg.annotations.records import Faults
from paddleseg.errors import UserError, counted
from paddleseg.transforms.decoding import read_header
from paddleseg.transforms.reading import read_bytes, read_mask
from paddleseg.utils.image_files import read_lines
from paddleseg.utils.progress_bar import bar
from paddleseg.utils.replace_file import replace_file

NAMES = (TRAIN, VAL, TEST)


def split_data_set(dataset_root, options):
    """Write the lists of train, val and perhaps test of a data set, and its config.

    Args:
        dataset_root: the data set.
        options: `SplitOptions`.

    Returns:
        Lines: how many images and groups are in each list.

    Raises:
        UserError: a mask cannot be read, the shares are wrong, a list would be empty, or files would be
            replaced.
    """
    shares = _shares(options.split)
    pairs, pixels = _read(dataset_root, pairs_in(dataset_root, options), options.skip_bad)
    groups = groups_of([image for image, _ in pairs], options.group_pattern, options.group_file)
    parts = assign(pixels, groups, shares, np.random.default_rng(options.seed))
    lists = {name: [pairs[k] for k in np.flatnonzero(parts == part)] for part, name in enumerate(NAMES)}
    lists = {name: lists[name] for name, share in zip(NAMES, shares) if share}
    empty = [name for name, inside in lists.items() if not inside]
    if empty:
        raise UserError(
            f"{empty[0]} would be empty: {counted(len(pairs), 'image')} in "
            f"{counted(len(set(groups)), 'group')} cannot be divided into shares of "
            f"{' '.join(f'{share:g}' for share in options.split)}"
        )
    _write(dataset_root, lists, pixels.shape[1], options)
    group_counts = [len(set(groups[parts == part])) for part in range(len(NAMES))]
    return [
        f"{os.path.join(dataset_root, name)}: {counted(len(lists[name]), 'image')}"
        + (f" of {counted(count, 'group')}" if len(set(groups)) < len(pairs) else "")
        for name, count in zip(NAMES, group_counts)
        if name in lists
    ]


def assign(pixels, groups, shares, rng):
    """Return the part of each image, int64: 0..len(shares) - 1.

    Large groups, and those that hold much of a rare class, are dealt out first. Each goes to the part that
    has least of what the group holds, compared with the part's share. What counts is the number of images,
    and for each class its pixels and the images that show it. This extends the iterative stratification of
    Sechidis et al., https://doi.org/10.1007/978-3-642-23808-6_10, to groups and to amounts.

    Args:
        pixels: the number of pixels of each class in each image, N x C.
        groups: the group of each image, N.
        shares: of the parts; their sum is 1.
        rng: the `numpy.random.Generator` of the order among equals.
    """
    _, members = np.unique(groups, return_inverse=True)
    content = np.concatenate([np.ones((len(pixels), 1)), pixels > 0, pixels], axis=1)
    totals = np.zeros((members.max() + 1, content.shape[1]))
    np.add.at(totals, members, content)
    sizes = totals[:, 0].astype(np.int64)
    totals = (totals / np.maximum(totals.sum(axis=0), 1))[:, content.any(axis=0)]
    room = _rounded(np.array(shares) * len(pixels))
    filled = np.zeros((len(shares), totals.shape[1]))
    part_of = np.zeros(len(sizes), np.int64)
    order = rng.permutation(len(sizes))
    for group in order[np.argsort(-totals[order].max(axis=1), kind="stable")]:
        part_of[group] = part = _emptiest(filled @ totals[group], shares, room, sizes[group])
        filled[part] += totals[group]
        room[part] -= sizes[group]
    return part_of[members]


def _emptiest(filled, shares, room, size):
    """Return the part with least of something for its share, among those with room for `size` images.

    If none has room, it is the one with most room. Among equals, it is the one with the largest share.
    """
    wanted = [part for part, share in enumerate(shares) if share]
    fitting = [part for part in wanted if room[part] >= size]
    if not fitting:
        return max(wanted, key=lambda part: room[part])
    return min(fitting, key=lambda part: (filled[part] / shares[part], -shares[part]))


def _rounded(counts):
    """Return whole numbers with the same sum, by the method of the largest remainder."""
    whole = np.floor(counts).astype(np.int64)
    missing = int(round(counts.sum())) - whole.sum()
    whole[np.argsort(whole - counts, kind="stable")[:missing]] += 1
    return whole


def _shares(split):
    shares = [*split, 0.0][:3]
    if len(split) not in (2, 3) or abs(sum(split) - 1) > 1e-6 or not shares[0]:
        raise UserError(
            f"split must be two or three shares, of train, val and test, that add up to 1, with train above "
            f"0, not {' '.join(f'{share:g}' for share in split)}"
        )
    return shares


def _read(root, pairs, skip_bad):
    """Return the pairs whose masks can be read, and the pixels of each class, N x C, int64."""
    faults, counts, readable = Faults(), [], []
    for pair in bar(pairs, label="reading masks"):
        with faults.caught("unreadable mask"):
            counts.append(_class_pixels(read_mask(os.path.join(root, pair[1])), pair[1]))
            readable.append(pair)
    if not skip_bad:
        faults.refuse(REMEDY)
    if not readable:
        raise UserError(f"no mask of {root!r} can be read: {'; '.join(faults.lines[:1])}")
    num_classes = max(len(names_in(root)), *map(len, counts))
    return readable, np.array([np.pad(count, (0, num_classes - len(count))) for count in counts])


def _class_pixels(mask, name):
    values, counts = np.unique(mask, return_counts=True)
    values, counts = values[values != IGNORE_INDEX], counts[values != IGNORE_INDEX]
    if len(values) and not 0 <= values[0] <= values[-1] < 2**16:
        raise UserError(f"the mask {name!r} holds {values[0]}..{values[-1]}, which are no classes")
    return np.bincount(values, counts).astype(np.int64) if len(values) else np.zeros(1, np.int64)


def _write(root, lists, num_classes, options):
    """Write lists and config; an old list may be another one, or go, only with `options.overwrite`."""
    first = os.path.join(root, next(iter(lists.values()))[0][0])
    header = read_header(read_bytes(first, "image"))
    channels = usual_channels(header)
    build = {"class_names": names_in(root), "num_classes": num_classes, "img_channels": channels}
    files = list_files(root, lists, **build)
    old = {name: _text(os.path.join(root, name)) for name in (*files, ALL)}
    # The config of the conversion names the list of all images; it makes way for the new one.
    if old[ALL] is not None and old[CONFIG] == list_files(root, {ALL: _pairs(old[ALL])}, **build)[CONFIG]:
        old[CONFIG] = None
    left_over = _sharing_images(root, lists, options.file_list)
    changed = left_over + [name for name, text in files.items() if old[name] not in (None, text)]
    if changed and not options.overwrite:
        raise UserError(
            f"{root} already has a different {', '.join(changed)}; --overwrite replaces old files, and "
            f"removes a list whose images are in the new ones"
        )
    try:
        for name, text in files.items():
            replace_file(os.path.join(root, name), text)
        for name in left_over:
            os.remove(os.path.join(root, name))
    except OSError as error:
        raise UserError(f"cannot write {error.filename or root}: {error.strerror}") from error


def _sharing_images(root, lists, file_list):
    """Return the names of old lists that the new ones do not replace, although they share images with them.

    Such a list is of a division into one part more. The list that was divided is none.
    """
    images = {image for pairs in lists.values() for image, *_ in pairs}
    found = []
    for name in (name for name in NAMES if name not in lists):
        path = os.path.join(root, name)
        if file_list is not None and os.path.realpath(path) == os.path.realpath(file_list):
            continue
        if any(image in images for image, *_ in _pairs(_text(path) or "")):
            found.append(name)
    return found


def _pairs(text):
    """Return the [image, mask] of each line of a list."""
    return [line.split("\t" if "\t" in line else " ") for line in text.splitlines()]


def _text(path):
    return "\n".join(read_lines(path)) if os.path.exists(path) else None
