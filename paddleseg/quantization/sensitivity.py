"""Which layers lose most in integers, and which must therefore stay in float."""

from paddleseg.utils.logger import logger


def costs(names, drop):
    """Return {group: what the mIoU loses if that group alone is in integers}, the largest loss first.

    Args:
        names: of the groups.
        drop: function from a list of groups that stay in float to the loss of mIoU.
    """
    found = {}
    for name in names:
        found[name] = drop([other for other in names if other != name])
        logger.info(f"{name} in integers, all else in float: mIoU {-found[name]:+.4f}")
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def left_in_float(ordered, drop, max_drop):
    """Return the fewest groups, from the first on, without which INT8 loses at most `max_drop`.

    At most half of the groups: with more, the model would hardly be an INT8 model. The last call of `drop` is
    of the returned groups.

    Args:
        ordered: names of the groups, those that cost most first.
        drop: as in `costs`.
        max_drop: the loss of mIoU that is accepted.
    """
    for count in range(1, len(ordered) // 2 + 1):
        left = ordered[:count]
        loss = drop(left)
        logger.info(f"{', '.join(left)} in float, all else in integers: mIoU {-loss:+.4f}")
        if loss <= max_drop:
            return left
    return ordered[: len(ordered) // 2]
