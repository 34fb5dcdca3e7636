"""Which class a label of an annotation means."""

from typing import NamedTuple, Optional

from paddleseg.annotations.records import AnnotationError
from paddleseg.cvlibs.class_names import check_class_names
from paddleseg.errors import UserError, suggestion
from paddleseg.utils.image_files import read_names

BACKGROUNDS = (
    "_background_",
    "__background__",
    "background",
)  # labelme's name, PaddleSeg's, and the plain one
IGNORED_LABELS = ("__ignore__", "_ignore_")  # labelme's name for pixels that do not count
IGNORE_INDEX = 255
MOST_CLASSES = 255  # a mask is a PNG of bytes, and one value is `IGNORE_INDEX`


class ClassList(NamedTuple):
    """The classes of a data set.

    Attributes:
        names: the names of the classes in their order.
        unlabelled: the mask value of pixels that no shape covers.
        others: the mask value of shapes whose label is no class; None if such a label is refused.
    """

    names: tuple
    unlabelled: int
    others: Optional[int] = None

    def value_of(self, label):
        """Return the mask value of a label.

        Raises:
            AnnotationError: it is unknown.
        """
        if label in self.names:
            return self.names.index(label)
        if label in IGNORED_LABELS:
            return IGNORE_INDEX
        if label in BACKGROUNDS and self.unlabelled != IGNORE_INDEX:
            return self.unlabelled
        if self.others is None:
            message = f"the label {label!r} is no class; {suggestion(label, self.names)}"
            raise AnnotationError("unknown label", message)
        return self.others


def class_list(options, labels):
    """Return the `ClassList` that `ConversionOptions` ask for.

    Args:
        options: the `ConversionOptions`.
        labels: the labels that the annotations hold, in order, which become the classes if
            `options.class_list` names no file.

    Raises:
        UserError: the file cannot be read, or there are no or too many classes.
    """
    where = options.class_list or "the annotations"
    names = read_names(options.class_list) if options.class_list else list(labels)
    names = [name for name in dict.fromkeys(names) if name not in IGNORED_LABELS]
    background = next((name for name in names if name in BACKGROUNDS), None)
    if options.no_background:
        unlabelled = IGNORE_INDEX
    elif background is None or not options.class_list:
        names = [background or BACKGROUNDS[0], *(name for name in names if name not in BACKGROUNDS)]
        unlabelled = 0
    else:
        unlabelled = names.index(background)
    if not 0 < len(names) <= MOST_CLASSES:
        raise UserError(f"{where}: there are {len(names)} classes; masks can hold 1 to {MOST_CLASSES}")
    check_class_names(names, len(names), where)
    others = {"error": None, "background": unlabelled, "ignore": IGNORE_INDEX}[options.other_labels]
    return ClassList(tuple(names), unlabelled, others)
