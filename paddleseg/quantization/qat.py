"""Quantisation-aware training: fine-tune a student as its INT8 file will compute, under its teacher."""

import dataclasses
import os
import tempfile

import paddle

from paddleseg import parallel
from paddleseg.checkpoints.checkpoint import BEST
from paddleseg.checkpoints.snapshot import MODEL
from paddleseg.core import runs
from paddleseg.cvlibs import SegBuilder
from paddleseg.errors import UserError
from paddleseg.exporting import export
from paddleseg.exporting.deploy_file import RESULT_FILE
from paddleseg.exporting.deploy_limits import check_transforms
from paddleseg.exporting.exporter import move_files
from paddleseg.graphs import onnx_file
from paddleseg.options import ExportOptions, QatOptions
from paddleseg.quantization import images, qdq
from paddleseg.quantization.comparison import Comparison
from paddleseg.quantization.conv_sites import float_nodes
from paddleseg.quantization.fake_model import calibrate, fake_quantize, tensor_ranges
from paddleseg.quantization.int8_folder import write_int8_folder
from paddleseg.quantization.ptq import warn_of_processor
from paddleseg.quantization.result import Result
from paddleseg.utils.cpu import integer_instructions
from paddleseg.utils.logger import logger
from paddleseg.weights.load import load_weights

FILES = ("model.onnx", "deploy.yaml")


def train(cfg, teacher_cfgs=(), options=None):
    """Train a student whose convolutions are fake-quantised, and write its INT8 file to `options.save_dir`.

    The student starts from trained weights and from ranges of calibration images. Losses, trainer and
    checkpoints are those of `core.runs`. `model.pdparams` also holds the ranges.

    Args:
        cfg: the `Config` of the student and its training.
        teacher_cfgs: a `Config` of each teacher, made with `as_teacher=True`; none trains by labels alone.
        options: `QatOptions`. Default: all defaults.

    Returns:
        What `runs.train` returns for the fake-quantised student. `model.onnx` and `deploy.yaml` hold its best
        weights. If nothing was evaluated, they hold its last weights. With evaluations, `quantization.json`
        compares the INT8 model with the float student that the training began with.

    Raises:
        UserError: the student has no weights, cannot be exported or has nothing to quantise; an option is for
            teachers, and there is none; or what `runs.distill` raises.
    """
    options = options or QatOptions()
    if not teacher_cfgs:
        options.refuse_teachers()
    onnx_file.check_installed("quantisation")
    qdq.check_installed()
    check_transforms(cfg)  # as the export at the end does
    warn_of_processor(integer_instructions())
    student = _Student(cfg, options)
    result = runs.fine_tune(cfg, teacher_cfgs, options, student.prepare)
    if options.trains and parallel.rank() == 0:
        student.export(result)
    return result


class _Student:
    """The model of a run, from its float weights to its INT8 file.

    Args:
        cfg, options: as `train` takes them.
    """

    def __init__(self, cfg, options):
        self._cfg, self._options = cfg, options
        # Made now, so that wrong options are found before the training.
        shared = {"output_op": options.output_op, "input_shape": options.input_shape}
        self._export_options = ExportOptions(format="onnx", **shared)
        self._model = self._sites = None
        self._calibrated_on = 0

    def prepare(self, builder):
        """Fake-quantise the model of a run's `SegBuilder`, and calibrate it."""
        options, cfg = self._options, self._cfg
        if not options.no_eval:  # the images on which INT8 will be compared with float
            images.refuse_size(cfg, builder.val_dataset, options.input_shape)
        self._model = builder.trained_model(options.model_path, "quantise")
        shape = list(options.input_shape or (-1, cfg.img_channels, -1, -1))
        self._sites = fake_quantize(self._model, shape)
        dataset = builder.train_dataset if cfg.has_labels else builder.unlabeled_dataset
        chosen = images.chosen(len(dataset), options.calibration_images, options.seed)
        self._calibrated_on = len(chosen)
        calibrate(self._model, map(paddle.to_tensor, images.batches(cfg, dataset, chosen, shape)))

    def export(self, result):
        """Write the INT8 model of the best weights to the run's folder, and its figures if there are some.

        Args:
            result: of the training; {} if nothing was evaluated, for the last weights.
        """
        folder = self._options.save_dir
        weights = os.path.join(folder, BEST if result else f"iter_{self._cfg.iters}", MODEL)
        load_weights(self._model, weights, fixed=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".quantize.") as scratch:
            trained, int8, folded = (
                os.path.join(scratch, name) for name in ("trained", "int8", "folded.onnx")
            )
            self._export_float(weights, trained)
            qdq.folded(os.path.join(trained, "model.onnx"), folded)
            in_float = float_nodes(qdq.read_onnx(folded), self._sites)
            write_int8_folder(int8, trained, folded, tensor_ranges(self._model, self._sites), in_float)
            if result:
                self._compare(int8, scratch)
            names = [name for name in (*FILES, RESULT_FILE) if os.path.isfile(os.path.join(int8, name))]
            move_files(names, int8, folder)
        logger.info(f"INT8 model of the weights in {weights} written to {folder}: {', '.join(names)}")

    def _export_float(self, weights, folder):
        options = dataclasses.replace(self._export_options, model_path=weights, save_dir=folder)
        export(self._cfg, options)

    def _compare(self, int8, scratch):
        """Compare an INT8 model with the float student that the training began with; write the figures."""
        options, cfg, before = self._options, self._cfg, os.path.join(scratch, "float")
        self._export_float(options.model_path, before)
        try:
            comparison = Comparison(cfg, SegBuilder(cfg).val_dataset, before, scratch)
            comparison.drop(int8)
        except UserError as error:
            logger.warning(f"the INT8 model is not compared with the float one: {error}")
            return
        result = Result(
            config=str(cfg.path),
            weights=options.model_path or cfg.pretrained,
            method="qat",
            calibration_images=self._calibrated_on,
            seed=options.seed,
            **comparison.facts(int8),
        )
        result.write(int8)
        for line in result.table():
            logger.info(line)
