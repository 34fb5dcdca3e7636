"""What the transforms of a config share: how they refuse, and how masks follow their image."""

from paddleseg.errors import UserError


def require(condition, owner, rule, value):
    """Raise `UserError` "<class of owner>: <rule>, not <value>" unless `condition` holds."""
    if not condition:
        raise UserError(f"{type(owner).__name__}: {rule}, not {value!r}")


def as_size(owner, name, size):
    """Return (width, height) as a tuple of two positive integers, or raise `UserError`."""
    good = isinstance(size, (list, tuple)) and len(size) == 2 and all(map(is_length, size))
    require(good, owner, f"{name} must be [width, height], two positive integers", size)
    return tuple(size)


def is_length(value):
    """Tell whether `value` is a positive integer."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def size_of(image):
    """Return (width, height)."""
    return image.shape[1], image.shape[0]


def change_together(owner, data, image, mask, undone_by_resizing=False):
    """Replace the image by `image(array)`, and each mask that `gt_fields` names by `mask(array)`.

    Args:
        owner: the transform, for messages.
        data: the dict that `Compose` describes; it is changed in place and returned.
        image, mask: functions from one array to another.
        undone_by_resizing: whether `trans_info` tells how to bring a prediction back to the size before. If
            not, a `label` that stays behind, as those of an evaluation do, could never be compared with it.

    Raises:
        UserError: image and mask differ in size, or a `label` would stay behind.
    """
    fields = [key for key in data.get("gt_fields", []) if data.get(key) is not None]
    if not undone_by_resizing and data.get("label") is not None and "label" not in fields:
        raise UserError(
            f"{type(owner).__name__} would move the image away from its mask, which an evaluation leaves as "
            "it is; it has its place in train_dataset only"
        )
    for key in fields:
        before = data[key].shape[:2]
        require(before == data["img"].shape[:2], owner, f"{key} must be as large as the image", before)
    data["img"] = image(data["img"])
    for key in fields:
        data[key] = mask(data[key])
    return data


def note(data, change):
    """Append (change, (height, width)), the size before, to `trans_info`."""
    data.setdefault("trans_info", []).append((change, data["img"].shape[:2]))
