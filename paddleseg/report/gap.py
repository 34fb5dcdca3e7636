"""How much of the gap between teacher and plain student a distilled student has closed."""

import numpy as np


def spread(values):
    """Return the sample standard deviation, 0 for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def why_no_share(plain, teacher):
    """Return why a share of the gap would say nothing, as a clause; None where it says something.

    Args:
        plain: the plain student's mIoU, one a seed.
        teacher: the teacher's; None or empty if it is not there.
    """
    if not teacher:
        return "the teacher's own mIoU is not known here"
    if len(plain) < 2:
        return "it takes plain students of two seeds or more to tell a gain from chance"
    if np.mean(teacher) - np.mean(plain) <= 2 * spread(plain):
        return "the teacher is not better than the plain student by more than two standard deviations"
    return None


def share_of_gap(values, plain, teacher):
    """Return (mean - plain's mean) / (teacher - plain's mean), or None where that says nothing.

    It says nothing where the gap is within two standard deviations of the plain student's seeds, or where
    there is but one seed of it to tell by.

    Args:
        values: a method's mIoU, one a seed.
        plain, teacher: as `why_no_share` takes them.
    """
    if why_no_share(plain, teacher):
        return None
    return float((np.mean(values) - np.mean(plain)) / (np.mean(teacher) - np.mean(plain)))
