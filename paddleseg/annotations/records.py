"""What any annotation tool says of an image, in one form."""

import contextlib
import os
from typing import Any, Callable, NamedTuple, Optional

from paddleseg.errors import UserError, counted

SHOWN = 20  # faults that are listed one by one


class AnnotationError(UserError):
    """A fault in annotations; `kind` is a noun for it, such as "unknown label"."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class Shape(NamedTuple):
    """An area with a label.

    Attributes:
        where: its place in the annotations, for messages, such as "shapes[3]".
        label: the label as text.
        area: a function of the image's height and width that returns a shape of `raster`.
    """

    where: str
    label: str
    area: Callable[[int, int], Any]


class Record(NamedTuple):
    """An annotated image.

    Attributes:
        where: the annotations' file, and place within, for messages.
        name: the image's path in the data set, with "/" between the parts.
        path: the image's file; None if the image is embedded.
        read: returns the image's bytes; None if `path` is to be read.
        size: (height, width) as the annotations state it; None where they do not.
        shapes: a list of `Shape`, drawn in this order.
    """

    where: str
    name: str
    path: Optional[str]
    read: Optional[Callable[[], bytes]]
    size: Optional[tuple]
    shapes: list


class Faults:
    """What is wrong with annotations, a line for each fault, and how often each kind occurs."""

    def __init__(self):
        self.lines = []
        self.counts = {}

    def add(self, kind, line):
        """Note a fault of a kind, such as "unknown label"."""
        self.lines.append(line)
        self.counts[kind] = self.counts.get(kind, 0) + 1

    @contextlib.contextmanager
    def caught(self, kind, where=None):
        """A context that a `UserError` within ends; it is noted as a fault of its own kind, else of `kind`.

        Args:
            kind: such as "damaged file".
            where: the place, which the line begins with; None if the error names it.
        """
        try:
            yield
        except UserError as error:
            self.add(getattr(error, "kind", kind), f"{where}: {error}" if where else str(error))

    def merge(self, other):
        """Note all faults of another `Faults`."""
        self.lines += other.lines
        for kind, count in other.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count

    def left_out(self):
        """Return lines that say which faults left out images; [] without faults."""
        return [*self.shown(), f"left out because of {self.summary()}"] if self.lines else []

    def summary(self):
        """Return the counts in words, such as "2 faults (1 missing image, 1 unknown label)"."""
        kinds = ", ".join(counted(count, kind) for kind, count in self.counts.items())
        return f"{counted(len(self.lines), 'fault')} ({kinds})"

    def shown(self):
        """Return the lines, shortened to the first `SHOWN` and a line that counts the rest."""
        rest = len(self.lines) - SHOWN
        return self.lines[:SHOWN] + ([f"and {counted(rest, 'fault')} more"] if rest > 0 else [])

    def refuse(self, remedy):
        """Raise `UserError` if there is a fault; several are listed below a line that counts them."""
        if len(self.lines) == 1:
            raise UserError(f"{self.lines[0]}; {remedy}")
        if self.lines:
            raise UserError("\n  ".join([f"{self.summary()}; {remedy}:", *self.shown()]))


def find_image(stated, base, image_dir, root):
    """Return the path of the image that annotations name, and its name in the data set.

    Args:
        stated: the path in the annotations, relative to `base`, with "/" or "\\" between the parts.
        base: the folder of the annotations.
        image_dir: the folder to look in instead, by the longest end of `stated` that exists there; or None.
        root: without `image_dir`, the folder that the image must be in, and that its name is relative to.

    Raises:
        AnnotationError: the image is missing, or outside of the folder.
    """
    parts = stated.replace("\\", "/").split("/")
    if image_dir is not None:
        inner = [part for part in parts if part not in ("", ".")]
        inner = inner[len(inner) - inner[::-1].index("..") :] if ".." in inner else inner
        tails = ["/".join(inner[start:]) for start in range(len(inner))]
        name = next((tail for tail in tails if os.path.isfile(os.path.join(image_dir, tail))), None)
        if name is None:
            raise AnnotationError("missing image", f"there is no image {stated!r} in {image_dir!r}")
        return os.path.join(image_dir, name), name
    path = os.path.normpath(os.path.join(base, *parts) if parts[0] else "/".join(parts))
    name = os.path.relpath(os.path.abspath(path), os.path.abspath(root)).replace(os.sep, "/")
    if name.split("/")[0] == "..":
        raise AnnotationError(
            "missing image",
            f"its image {stated!r} lies outside of {root!r}; name the folder of the images by --image_dir",
        )
    if "\0" in path or not os.path.isfile(path):
        raise AnnotationError("missing image", f"there is no image {path!r}")
    return path, name
