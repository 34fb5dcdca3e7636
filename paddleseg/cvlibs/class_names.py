"""The names of a data set's classes."""

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.facts import component_of
from paddleseg.errors import UserError, counted

# The data set whose key `class_names` only names the classes. With a key of that name, a user's data set may
# choose its classes, or read them from a file.
NAMING = "Dataset"


def class_names(dataset):
    """Return the names of a data set's classes in their order: `class_names`, else `CLASS_NAMES`, else ().

    Args:
        dataset: any data set, also a user's, or its class. An attribute that is no list or tuple of texts is
            something else, and passed over.
    """
    for attribute in ("class_names", "CLASS_NAMES"):
        names = texts(getattr(dataset, attribute, None))
        if names:
            return names
    return ()


def section_names(section):
    """Return the class names that a data set's section of a config states, else those of its class."""
    naming = isinstance(section, dict) and section.get("type") == NAMING
    names = texts(section.get("class_names")) if naming else ()
    return names or class_names(component_of(section, manager.DATASETS))


def texts(value):
    """Return the items of a list or tuple of texts, a tuple; () of anything else."""
    good = isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)
    return tuple(value) if good else ()


def check_class_names(names, num_classes, owner):
    """Refuse names that do not fit a data set.

    Args:
        names: list of names, one a class.
        num_classes: the number of classes.
        owner: the data set's name, for messages.

    Raises:
        UserError: there are more or fewer names than classes, two are equal, or one is empty or has lines.
    """
    if len(names) != num_classes:
        count = counted(len(names), "name")
        raise UserError(f"{owner}: class_names holds {count}, but num_classes is {num_classes}")
    for name in names:
        if not name.strip() or not name.isprintable():
            raise UserError(f"{owner}: class_names holds {name!r}, but a name is one line of text")
        if list(names).count(name) > 1:
            raise UserError(f"{owner}: class_names holds {name!r} more than once")


def labelled(names, count):
    """Return a label for each of `count` classes, such as "2 pole", or "2" where it has no name."""
    return [f"{k} {names[k]}" if k < len(names) else str(k) for k in range(count)]
