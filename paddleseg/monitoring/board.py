"""A run's curves, pictures and hyperparameters for VisualDL."""

import contextlib
import io
import os
import re
import sys
import time

import paddle

from paddleseg import parallel
from paddleseg.cvlibs.class_names import labelled, texts
from paddleseg.utils.logger import logger

try:
    import resource
except ImportError:  # not on Windows
    resource = None


_LOG_NAME = re.compile(r"vdlrecords\.(\d{10})\.log")


class Board:
    """Writes for VisualDL under PaddleSeg's tags, or nothing at all.

    Args:
        folder: where the log goes; None writes nothing.
        position: what `position()` returned, to go on from; what was written later is cut off.
        hparams: {name: number, text or None}, the hyperparameters of the run.
        metrics: the tags of the curves whose last values stand beside them.
        class_names: for the tags of the classes, as far as they have names. A log that is gone on with keeps
            those that it began with, or each curve would break in two.
    """

    def __init__(self, folder=None, position=None, hparams=None, metrics=(), class_names=()):
        self._writer = None
        self._class_names = tuple(class_names)
        if folder is None:
            return
        from visualdl import LogWriter  # slow to import, so only where it is asked for

        name = _old_log(folder, position)
        begun_with = texts(position.get("class_names", class_names)) if name else self._class_names
        if begun_with != self._class_names:
            logger.warning("VisualDL's curves of the classes go on under the names that they began with")
            self._class_names = begun_with
        # It prints that it goes on with an old log.
        with contextlib.redirect_stdout(io.StringIO()):
            self._writer = LogWriter(folder, file_name=name or _new_log(folder))
        if name is None and hparams:
            # The table of VisualDL takes a dot for a way into the value, and shows nothing.
            columns = {k.replace(".", "/"): _number_or_text(v) for k, v in hparams.items()}
            self._writer.add_hparams(columns, list(metrics))

    def add_training(self, figures):
        """Write a `Progress.summary`, and the memory in use."""
        if self._writer is None:
            return
        costs = {key: figures[key] for key in ("lr", "batch_cost", "reader_cost", "ips")}
        self._add("Train", {**figures["losses"], **costs, **peak_memory()}, figures["iteration"])

    def add_evaluation(self, scores, iteration, ema=False):
        """Write the `Scores` of an evaluation, of the weights' moving average if `ema`."""
        if self._writer is None:
            return
        values = {"mIoU": scores.miou, "Acc": scores.acc, "Kappa": scores.kappa, "Dice": scores.mdice}
        values.update(self._of_classes("IoU", scores.class_iou))
        if scores.auc_roc is not None:
            values["Auc_roc"] = scores.auc_roc
        if scores.class_boundary_iou is not None:
            values["Boundary_mIoU"] = scores.mean_boundary_iou
            values.update(self._of_classes("Boundary_IoU", scores.class_boundary_iou))
        prefix = "Ema_" if ema else ""
        self._add("Evaluate", {prefix + name: value for name, value in values.items()}, iteration)

    def add_pictures(self, pictures, iteration):
        """Write {name: uint8 H x W x 3, BGR}."""
        if self._writer is not None:
            for name, picture in pictures.items():
                self._writer.add_image(f"Validation/{name}", picture[..., ::-1], iteration)

    def position(self):
        """Flush; return the log's name and size and the names of its classes, for JSON."""
        if self._writer is None:
            return None
        self._unless_full(self._writer.flush)
        path = self._writer.file_name
        size = os.path.getsize(path)
        return {"file": os.path.basename(path), "bytes": size, "class_names": list(self._class_names)}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._writer is not None:
            self._unless_full(self._writer.close)

    def _unless_full(self, write):
        try:
            write()
        except OSError as error:
            logger.warning(f"{self._writer.file_name} cannot be written: {error}; the curves have a gap")

    def _of_classes(self, name, values):
        labels = labelled(self._class_names, len(values))
        return {f"{name}/class_{label.replace(' ', '_')}": value for label, value in zip(labels, values)}

    def _add(self, group, values, iteration):
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", float(value), iteration)


def peak_memory():
    """Return the most memory that this process has used so far, {name: MiB}; no one waits for the device."""
    peaks = {}
    if resource is not None:
        # Kilobytes, but bytes on macOS.
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        peaks["host_memory_MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    if not parallel.on_cpu():
        peaks["gpu_memory_MB"] = paddle.device.cuda.max_memory_allocated() / (1 << 20)
    return peaks


def _number_or_text(value):
    # VisualDL knows no others, and takes a bool for an int, which it then refuses.
    return value if type(value) in (int, float) else str(value)


def _old_log(folder, position):
    """Return the name of the log of `position`, cut to what it was then; None if it is not there.

    VisualDL shows one log of a folder, the last by name, so the curves of a resumed run must go on in the old
    one, and those of a new run must not.
    """
    # The position stands in a checkpoint, which may be anyone's, and says what is cut off where.
    name, size = (
        (position.get(key) for key in ("file", "bytes")) if isinstance(position, dict) else (None, None)
    )
    if not isinstance(name, str) or not _LOG_NAME.fullmatch(name) or type(size) is not int:
        return None
    path = os.path.join(folder, name)
    if os.path.islink(path) or not os.path.isfile(path) or not 0 <= size <= os.path.getsize(path):
        return None
    os.truncate(path, size)
    return name


def _new_log(folder):
    names = os.listdir(folder) if os.path.isdir(folder) else []
    taken = [int(log.group(1)) for log in map(_LOG_NAME.fullmatch, names) if log]
    return f"vdlrecords.{max([int(time.time()), *(number + 1 for number in taken)])}.log"
