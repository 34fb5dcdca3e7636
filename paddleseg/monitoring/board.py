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
from paddleseg.monitoring.history import errors_logged
from paddleseg.utils.logger import logger

try:
    import resource
except ImportError:  # not on Windows
    resource = None


_LOG_NAME = re.compile(r"vdlrecords\.(\d{10})\.log")


class Board:
    """Writes a log for VisualDL, under PaddleSeg's tags.

    Args:
        folder: where the log is written.
        position: what `position()` returned, to continue that log: what was written later is cut off. Default
            None, for a new log.
        hparams: the hyperparameters of the run, {name: number, text or None}. Default None.
        metrics: the tags of the curves whose last values are shown beside the hyperparameters. Default none.
        class_names: for the tags of the classes; the last classes may have no names. A log that is continued
            keeps the names that it has, or each curve would break in two. Default none.
    """

    def __init__(self, folder, position=None, hparams=None, metrics=(), class_names=()):
        from visualdl import LogWriter  # slow to import, so only where it is needed

        self._class_names = tuple(class_names)
        name = _old_log(folder, position)
        if name:
            old_names = texts(position.get("class_names", class_names))
            if old_names != self._class_names:
                logger.warning(f"the curves of the classes in {name} keep their old names: {old_names}")
                self._class_names = old_names
        # It prints a line when it continues an old log.
        with contextlib.redirect_stdout(io.StringIO()):
            self._writer = LogWriter(folder, file_name=name or _new_log(folder))
        if name is None and hparams:
            # In VisualDL's table a name with a dot shows nothing. Of types it has int, float and str only.
            columns = {
                k.replace(".", "/"): v if type(v) in (int, float) else str(v) for k, v in hparams.items()
            }
            self._writer.add_hparams(columns, list(metrics))

    def add_training(self, figures):
        """Write a `Progress.summary`, and the memory in use."""
        costs = {key: figures[key] for key in ("lr", "batch_cost", "reader_cost", "ips")}
        self._add("Train", {**figures["losses"], **costs, **peak_memory()}, figures["iteration"])

    def add_evaluation(self, scores, iteration, ema=False):
        """Write the `Scores` of an evaluation, of the weights' moving average if `ema`."""
        values = {"mIoU": scores.miou, "Acc": scores.acc, "Kappa": scores.kappa, "Dice": scores.mdice}
        values.update(self._by_class("IoU", scores.class_iou))
        if scores.auc_roc is not None:
            values["Auc_roc"] = scores.auc_roc
        if scores.class_boundary_iou is not None:
            values["Boundary_mIoU"] = scores.mean_boundary_iou
            values.update(self._by_class("Boundary_IoU", scores.class_boundary_iou))
        prefix = "Ema_" if ema else ""
        self._add("Evaluate", {prefix + name: value for name, value in values.items()}, iteration)

    def add_pictures(self, pictures, iteration):
        """Write pictures, {name: uint8 H x W x 3, BGR}."""
        for name, picture in pictures.items():
            self._writer.add_image(f"Validation/{name}", picture[..., ::-1], iteration)

    def position(self):
        """Flush; return the log's name and size and the names of its classes, for JSON."""
        path = self._writer.file_name
        with errors_logged(path):
            self._writer.flush()
        size = os.path.getsize(path)
        return {"file": os.path.basename(path), "bytes": size, "class_names": list(self._class_names)}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with errors_logged(self._writer.file_name):
            self._writer.close()

    def _by_class(self, name, values):
        labels = labelled(self._class_names, len(values))
        return {f"{name}/class_{label.replace(' ', '_')}": value for label, value in zip(labels, values)}

    def _add(self, group, values, iteration):
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", float(value), iteration)


def peak_memory():
    """Return the most memory that this process has used so far, {name: MiB}; does not wait for the device."""
    peaks = {}
    if resource is not None:
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # macOS counts bytes, Linux KiB
        peaks["host_memory_MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    if not parallel.on_cpu():
        peaks["gpu_memory_MB"] = paddle.device.cuda.max_memory_allocated() / (1 << 20)
    return peaks


def _old_log(folder, position):
    """Return the name of the log of `position`, cut to its size then; None if there is no such log.

    VisualDL shows one log of a folder, the last by name. So a resumed run must continue the old log, and
    another run must begin a new one.
    """
    # The position is read from a checkpoint, which anyone may have written: it must not cut off other files.
    position = position if isinstance(position, dict) else {}
    name, size = position.get("file"), position.get("bytes")
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
