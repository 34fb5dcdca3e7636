"""What the transforms of a config share: how they refuse, and how masks follow their image."""

from paddleseg.errors import UserError

LONGEST = 2**15 - 1  # the longest side that OpenCV warps to, and longer than any image


def require(condition, owner, rule, value):
    """Raise `UserError` "<class of owner>: <rule>, not <value>" unless `condition` holds."""
    if not condition:
        raise UserError(f"{type(owner).__name__}: {rule}, not {value!r}")


def require_share(owner, **values):
    """Raise `UserError` unless each value lies in 0..1."""
    for name, value in values.items():
        require(0 <= value <= 1, owner, f"{name} must lie in 0..1", value)


def require_reach(owner, **values):
    """Raise `UserError` unless each value lies in 0..32767."""
    for name, value in values.items():
        require(0 <= value <= LONGEST, owner, f"{name} must lie in 0..{LONGEST}", value)


def require_padding(owner, **values):
    """Raise `UserError` unless each value is one that pixels of 32 bits can have."""
    for name, value in values.items():
        require(-(2**31) <= value < 2**31, owner, f"{name} must be a number of 32 bits", value)


def require_ascending(owner, **bounds):
    """Raise `UserError` unless the values are positive, in ascending order, and none above 32767."""
    values = tuple(bounds.values())
    rule = f"{' and '.join(bounds)} must be positive and in ascending order, up to {LONGEST}"
    good = values[0] > 0 and list(values) == sorted(values) and values[-1] <= LONGEST
    require(good, owner, rule, values)


def as_size(owner, name, size):
    """Return (width, height) as a tuple of two integers in 1..32767, or raise `UserError`."""
    good = isinstance(size, (list, tuple)) and len(size) == 2 and all(map(is_length, size))
    require(good, owner, f"{name} must be [width, height], two integers in 1..{LONGEST}", size)
    return tuple(size)


def is_length(value):
    """Tell whether `value` is an integer in 1..32767."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LONGEST


def declared(transform, name):
    """Return what a transform declares of its call, False where it does not.

    There are `fixed`, that it draws nothing and changes a sample in the same way each time; and
    `takes_bytes`, that a uint8 image comes out with the values that a float32 one would have, for some a
    function of the image. Where a derived class has a `__call__` of its own, what was said of the other does
    not count.
    """
    for cls in type(transform).__mro__:
        if name in vars(cls):
            return getattr(transform, name)
        if "__call__" in vars(cls):
            return False
    return False


def size_of(image):
    """Return (width, height)."""
    return image.shape[1], image.shape[0]


def refuse_train_only(transforms, where):
    """Raise `UserError`, which begins with `where`, if a transform cannot be undone on a prediction.

    A class says so by `train_only = True`: it moves pixels and `trans_info` does not tell how to move them
    back, so what is predicted could never be compared with a mask that stays as it is.
    """
    for transform in transforms:
        if getattr(transform, "train_only", False):
            raise UserError(
                f"{where}: {type(transform).__name__} moves the image away from its mask, which an "
                "evaluation leaves as it is; it has its place in train_dataset only"
            )


def change_together(owner, data, image, mask):
    """Replace the image by `image(array)`, and each mask that `gt_fields` names by `mask(array)`.

    Args:
        owner: the transform, for messages.
        data: the dict that `Compose` describes; it is changed in place and returned.
        image, mask: functions from one array to another.

    Raises:
        UserError: image and mask differ in size, or a `label` would stay behind a transform that is
            `train_only`.
    """
    fields = [key for key in data.get("gt_fields", []) if data.get(key) is not None]
    if data.get("label") is not None and "label" not in fields:
        refuse_train_only([owner], "label is not among gt_fields")
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
