"""What the transforms share: checks of their arguments, and how masks follow their image."""

from paddleseg.errors import UserError
from paddleseg.transforms import functional as F

LONGEST_SIDE = 2**15 - 1  # the longest side that OpenCV warps to, and longer than any image
# The bound of arguments that are no lengths, such as angles: far above any useful value, but no overflow.
LARGEST_ARGUMENT = LONGEST_SIDE


def require(condition, owner, rule, value):
    """Raise `UserError` "<class of owner>: <rule>, not <value>" unless `condition` holds."""
    if not condition:
        raise UserError(f"{type(owner).__name__}: {rule}, not {value!r}")


def set_bounded(transform, upper, **values):
    """Set each value as an attribute, or raise `UserError` unless it lies in 0..`upper`."""
    for name, value in values.items():
        require(0 <= value <= upper, transform, f"{name} must lie in 0..{upper}", value)
        setattr(transform, name, value)


def set_padding(transform, **values):
    """Set each padding value, or None, as an attribute; of a list that repeats a number, that number.

    Raises:
        UserError: a value does not fit 32 bits, or a list has different numbers.
    """
    for name, value in values.items():
        if isinstance(value, (list, tuple)):
            require(len(set(value)) == 1, transform, f"{name} must be the same for all channels", value)
            value = value[0]
        fits = value is None or -(2**31) <= value < 2**31
        require(fits, transform, f"{name} must be a number of 32 bits", value)
        setattr(transform, name, value)


def mask_fill(transform, data):
    """Return the value of a mask outside of the image: `label_padding_value`, else the ignored label."""
    value = transform.label_padding_value
    return data.get("ignore_index", 255) if value is None else value


def in_depth_of(data, image):
    """Return an image as uint8, as PaddleSeg does; one of more than 8 bits stays float32."""
    return image if data.get("full_depth") else F.as_bytes(image)


def set_ascending(transform, **bounds):
    """Set each value as an attribute, or raise `UserError` unless 0 < first <= ... <= last <= 32767."""
    values = tuple(bounds.values())
    rule = f"{' and '.join(bounds)} must be positive and in ascending order, up to {LONGEST_SIDE}"
    ascending = values[0] > 0 and list(values) == sorted(values) and values[-1] <= LONGEST_SIDE
    require(ascending, transform, rule, values)
    vars(transform).update(bounds)


def as_size(owner, name, size):
    """Return (width, height) as a tuple of two integers in 1..32767, or raise `UserError`."""
    is_size = isinstance(size, (list, tuple)) and len(size) == 2 and all(map(is_length, size))
    require(is_size, owner, f"{name} must be [width, height], two integers in 1..{LONGEST_SIDE}", size)
    return tuple(size)


def is_length(value):
    """Tell whether `value` is an integer in 1..32767."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LONGEST_SIDE


def declared(transform, name):
    """Return an attribute by which a transform describes its `__call__`; False if there is none.

    There are two:

    - `fixed`, a bool: the call draws nothing and changes a sample in the same way each time;
    - `takes_bytes`, a bool, or a method that maps an image to one: of a uint8 image the call makes the values
      that it makes of the same image in float32. Other transforms get float32.

    They describe the `__call__` of their own class: a derived class with another one does not inherit them.
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
    """Raise `UserError`, which begins with `where`, if one of the transforms is for training only.

    The class of such a transform has `train_only = True`: it moves pixels, and `trans_info` does not say how
    to move them back. So a prediction could not be compared with a mask that was not transformed.
    """
    for transform in transforms:
        if getattr(transform, "train_only", False):
            raise UserError(
                f"{where}: {type(transform).__name__} moves the image away from its mask, which an "
                "evaluation does not transform; use it in train_dataset only"
            )


def change_together(owner, data, image, mask):
    """Replace the image by `image(array)`, and each mask that `gt_fields` names by `mask(array)`.

    Args:
        owner: the transform, for messages.
        data: the dict that `Compose` describes; it is changed in place and returned.
        image, mask: functions from one array to another.

    Raises:
        UserError: image and mask differ in size, or `label` is not in `gt_fields` although the transform is
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


def record_size(data, change):
    """Append (change, (height, width)) to `trans_info`, with the size before that change."""
    data.setdefault("trans_info", []).append((change, data["img"].shape[:2]))
