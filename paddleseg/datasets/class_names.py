"""What the classes of a data set are called."""


def class_names(dataset):
    """Return the names of a data set's classes in their order: `class_names`, else `CLASS_NAMES`, else ().

    Args:
        dataset: any that a user may bring, or its class.
    """
    return tuple(getattr(dataset, "class_names", None) or getattr(dataset, "CLASS_NAMES", ()))


def labelled(names, count):
    """Return what each of `count` classes is called, such as "2 pole", or "2" where it has no name."""
    return [f"{k} {names[k]}" if k < len(names) else str(k) for k in range(count)]
