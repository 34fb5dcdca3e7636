"""What the classes of a data set are called."""

from paddleseg.errors import UserError


def class_names(dataset):
    """Return the names of a data set's classes in their order: `class_names`, else `CLASS_NAMES`, else ().

    Args:
        dataset: any that a user may bring, or its class.
    """
    return tuple(getattr(dataset, "class_names", None) or getattr(dataset, "CLASS_NAMES", ()))


def check_class_names(names, num_classes, owner):
    """Refuse names that do not fit a data set.

    Args:
        names: list of names, one a class.
        num_classes: the number of classes.
        owner: the data set's name, for messages.

    Raises:
        UserError: there are more or fewer names than classes, or two are equal.
    """
    if len(names) != num_classes:
        raise UserError(f"{owner}: class_names holds {len(names)} name(s), but num_classes is {num_classes}")
    twice = [name for name in names if list(names).count(name) > 1]
    if twice:
        raise UserError(f"{owner}: class_names holds {twice[0]!r} more than once")


def labelled(names, count):
    """Return what each of `count` classes is called, such as "2 pole", or "2" where it has no name."""
    return [f"{k} {names[k]}" if k < len(names) else str(k) for k in range(count)]
