"""Exported models on the page: what they score, and how large and how fast their files are."""

import dataclasses
import os
import tempfile
from typing import Optional, Sequence

from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.errors import UserError, one_line
from paddleseg.exporting.deploy_file import DEPLOY_FILE, RESULT_FILE, deploy_section
from paddleseg.quantization.images import batches
from paddleseg.quantization.latency import latencies
from paddleseg.quantization.result import read_result
from paddleseg.quantization.scoring import Scorer
from paddleseg.report.rebuild import builder_of
from paddleseg.report.runs import is_run, lies_in
from paddleseg.report.tables import UNKNOWN, Table
from paddleseg.utils.logger import logger

PRECISIONS = {"fp32": "float", "fp16": "FP16", "int8": "INT8"}


@dataclasses.dataclass(frozen=True)
class Exported:
    """An exported model, measured under onnxruntime.

    Attributes:
        name: its name on the page.
        precision: "fp32", "fp16" or "int8".
        run: the name of the run that trained it, None if that is not on the page.
        megabytes: the size of its file, in units of 10**6 bytes.
        miou: 0 to 1, by the masks of `deploy/infer.py`; None if it is unknown.
        images: the number of validation images of `miou`; None if it is unknown.
        latency: the median milliseconds for one image on one core; None if it was not measured.
        shape: the [N, C, H, W] of that image; None if there is none.
    """

    name: str
    precision: str
    run: Optional[str]
    megabytes: float
    miou: Optional[float] = None
    images: Optional[int] = None
    latency: Optional[float] = None
    shape: Optional[Sequence[int]] = None


def is_exported(folder):
    """Tell whether a folder holds an exported model for the page; that of a training may, such as `qat.py`'s.

    A Paddle graph is for the page only where there is no training, so that `measure_exported` refuses it.

    Raises:
        UserError: the `deploy.yaml` in the folder of a training is damaged.
    """
    if not os.path.isfile(os.path.join(folder, DEPLOY_FILE)):
        return False
    return not is_run(folder) or deploy_section(folder)["model"].endswith(".onnx")


def measure_exported(folders, names, runs, with_latency=True):
    """Return what an `Exported` holds for each folder, and sentences on what could not be measured.

    A model is scored on the validation images of the run that trained it or, if that is not on the page, of
    its config. The figures of a quantisation are those of its `quantization.json`, but all latencies are
    measured here, in turns.

    Args:
        folders: of exports in ONNX.
        names: of their rows.
        runs: list of `Run`.
        with_latency: whether to measure the latency. Default True.

    Returns:
        (list of `Exported`, list of sentences)

    Raises:
        UserError: a folder holds no ONNX file.
    """
    rows, paths, inputs, notes = [], [], [], []
    for folder, name in zip(folders, names):
        deploy = deploy_section(folder)
        paths.append(_onnx_path(folder, deploy))
        row, batch, problem = _scored(folder, deploy, paths[-1], name, runs)
        rows.append(row)
        inputs.append(batch)
        notes += [f"{name} was not evaluated or not timed: {problem}."] if problem else []
    return _timed(rows, inputs, paths) if with_latency else rows, notes


def table(exported, notes):
    """Return the `Table` of exported models.

    Args:
        exported: list of `Exported`.
        notes: sentences below it.
    """
    head = ["exported model", "mIoU", "images", "precision", "size", "latency, 1 core", "input", "trained by"]
    rows = [
        [
            one.name,
            UNKNOWN if one.miou is None else f"{one.miou:.4f}",
            UNKNOWN if one.images is None else str(one.images),
            PRECISIONS.get(one.precision, one.precision),
            f"{one.megabytes:.1f} MB",
            UNKNOWN if one.latency is None else f"{one.latency:.1f} ms",
            UNKNOWN if one.shape is None else " × ".join(map(str, one.shape[2:])),
            one.run or UNKNOWN,
        ]
        for one in exported
    ]
    how = "The mIoU is of the masks that deploy/infer.py makes. The latency is onnxruntime's for one image, "
    return Table(
        head, rows, [how + "measured in turns, so it cannot be compared with Paddle's above.", *notes]
    )


def _scored(folder, deploy, path, name, runs):
    """Return an `Exported` without a latency, a batch of one image or None, and why something is missing."""
    source = deploy.get("source") or {}
    run = next((run for run in runs if lies_in(source.get("weights") or os.sep, run.folder)), None)
    precision = deploy.get("precision", "fp32")
    row = Exported(name, precision, run and run.name, os.path.getsize(path) / 1e6)
    # Beside a float model, the file is left from an earlier quantisation.
    has_result = precision == "int8" and os.path.isfile(os.path.join(folder, RESULT_FILE))
    result = read_result(folder) if has_result else None
    if result is not None:
        row = dataclasses.replace(row, miou=result.int8.miou, images=result.images)
    try:
        builder = _builder(run, source)
        shape = deploy.get("input_shape") or [-1, 3, -1, -1]
        batch = next(batches(builder.cfg, builder.val_dataset, [0], shape))
        if result is None:
            row = dataclasses.replace(row, **_scores(folder, builder.val_dataset))
    except UserError as error:
        return row, None, one_line(error).rstrip(".")
    return dataclasses.replace(row, shape=list(batch.shape)), batch, None


def _onnx_path(folder, deploy):
    """Return the path of the ONNX file that a `Deploy` section names."""
    name = deploy["model"]
    if not name.endswith(".onnx"):
        raise UserError(f"{folder} holds a Paddle graph; the page has rows for exports with --format onnx")
    path = os.path.join(folder, name)
    if not os.path.isfile(path):
        raise UserError(f"{folder} lacks {name}, which its {DEPLOY_FILE} names")
    return path


def _builder(run, source):
    sections = ("val_dataset",)
    if run is not None:
        return builder_of(run.config, sections, run.run_file, run.config_path)
    if not os.path.isfile(source.get("config") or ""):
        raise UserError("neither the run that trained it is given, nor is the file of its config here")
    return SegBuilder(Config(source["config"], sections=(*sections, "export"), required=sections))


def _scores(folder, dataset):
    logger.info(f"evaluating {folder}")
    scorer = Scorer(dataset)
    with tempfile.TemporaryDirectory() as scratch:
        miou = scorer.score(folder, os.path.join(scratch, "masks")).miou
    return {"miou": float(miou), "images": len(scorer.indices)}


def _timed(rows, inputs, paths):
    """Return rows with latencies; models of equal inputs are timed in turns."""
    timed = list(rows)
    for shape in {tuple(row.shape) for row in rows if row.shape}:
        group = [i for i, row in enumerate(rows) if row.shape and tuple(row.shape) == shape]
        logger.info(f"timing {len(group)} exported models")
        measured = latencies([paths[i] for i in group], inputs[group[0]], 1)
        for i, milliseconds in zip(group, measured):
            timed[i] = dataclasses.replace(rows[i], latency=milliseconds)
    return timed
