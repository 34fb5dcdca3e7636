"""Post-training quantisation: an INT8 ONNX file of a trained model, compared with the float one."""

import functools
import os
import tempfile

from paddleseg import parallel
from paddleseg.cvlibs import SegBuilder
from paddleseg.errors import UserError, counted
from paddleseg.exporting.deploy_file import RESULT_FILE, deploy_section
from paddleseg.exporting.deploy_limits import check_transforms
from paddleseg.exporting.exporter import export_model, move_files
from paddleseg.graphs import onnx_file
from paddleseg.options import ExportOptions
from paddleseg.quantization import images, qdq, sensitivity
from paddleseg.quantization.calibration import calibrate
from paddleseg.quantization.comparison import Comparison
from paddleseg.quantization.groups import groups, layer_names
from paddleseg.quantization.int8_folder import write_int8_folder
from paddleseg.quantization.result import Result
from paddleseg.utils.cpu import integer_instructions
from paddleseg.utils.logger import logger
from paddleseg.utils.save_dir import new_save_dir

FEW = 100  # validation images on which groups of layers are compared with each other


def quantize(cfg, options):
    """Write `model.onnx` in INT8, `deploy.yaml` and `quantization.json` to `options.save_dir`.

    The trained model is exported, and calibrated on training images. Its INT8 and its float file are
    evaluated on all validation images. If INT8 loses too much, the groups of layers that cost most stay in
    float.

    Args:
        cfg: the model's `Config`, with `train_dataset` and `val_dataset`.
        options: `PtqOptions`.

    Returns:
        `Result`.

    Raises:
        UserError: as `export`; or INT8 loses more than `options.max_drop` even with half of the groups in
            float. Then nothing is written.
    """
    onnx_file.check_installed("quantisation")
    qdq.check_installed()
    check_transforms(cfg)
    parallel.set_device("cpu", conv_engine="paddle")
    builder = SegBuilder(cfg)
    images.refuse_empty(builder.train_dataset, "train_dataset")
    images.refuse_empty(builder.val_dataset, "val_dataset")
    images.refuse_size(cfg, builder.val_dataset, options.input_shape)
    warn_of_processor(integer_instructions())
    temporary = functools.partial(tempfile.TemporaryDirectory, dir=options.save_dir, prefix=".quantize.")
    with new_save_dir(options.save_dir), temporary() as scratch:
        result = _quantized(cfg, builder, options, scratch)
        for line in result.table():
            logger.info(line)
        refuse_drop(result, options.max_drop)
        folder = _int8(scratch)
        result.write(folder)
        move_files(["model.onnx", "deploy.yaml", RESULT_FILE], folder, options.save_dir)
    logger.info(f"INT8 model written to {options.save_dir}: model.onnx, deploy.yaml, {RESULT_FILE}")
    return result


def _quantized(cfg, builder, options, scratch):
    """Write the float and the INT8 model to folders of `scratch`, and return the `Result`."""
    model = builder.trained_model(options.model_path, "quantise")
    float_folder, folded = os.path.join(scratch, "float"), os.path.join(scratch, "folded.onnx")
    shared = {name: getattr(options, name) for name in ("model_path", "output_op", "input_shape")}
    export_model(model, cfg, ExportOptions(save_dir=float_folder, format="onnx", **shared))
    qdq.folded(os.path.join(float_folder, "model.onnx"), folded)
    chosen = images.chosen(len(builder.train_dataset), options.calibration_images, options.seed)
    ranges = _ranges(cfg, builder.train_dataset, chosen, folded, float_folder, options.method)
    parts = groups(folded, layer_names(model))

    def write(names):
        nodes = [node for name in names for node in parts[name].nodes]
        write_int8_folder(_int8(scratch), float_folder, folded, ranges, nodes)
        return _int8(scratch)

    logger.info(f"evaluating float and INT8 on {counted(len(builder.val_dataset), 'validation image')}")
    compared = functools.partial(Comparison, cfg, builder.val_dataset, float_folder, scratch)
    comparison = compared()
    loss, left, costs = comparison.drop(write([])), [], {}
    if loss > options.max_drop:
        logger.info(f"INT8 loses {loss:.4f} mIoU, more than max_drop {options.max_drop}")
        few = comparison if comparison.images <= FEW else compared(FEW)
        logger.info(f"comparing {counted(len(parts), 'group')} of layers on {counted(few.images, 'image')}")
        costs = sensitivity.costs(list(parts), lambda names: few.drop(write(names)))
        left = sensitivity.left_in_float(
            list(costs), lambda names: comparison.drop(write(names)), options.max_drop
        )
    return Result(
        config=str(cfg.path),
        weights=options.model_path or cfg.pretrained,
        method=options.method,
        calibration_images=len(chosen),
        seed=options.seed,
        float_layers={name: parts[name].layers for name in left},
        sensitivity=costs,
        **comparison.facts(_int8(scratch)),
    )


def _int8(scratch):
    return os.path.join(scratch, "int8")


def _ranges(cfg, dataset, chosen, folded, float_folder, method):
    logger.info(f"calibrating on {counted(len(chosen), 'training image')} by {method}")
    shape = deploy_section(float_folder)["input_shape"]
    return calibrate(folded, lambda: images.batches(cfg, dataset, chosen, shape), method)


def warn_of_processor(instructions):
    """Warn if INT8 will not be faster than float here.

    Args:
        instructions: as `integer_instructions` returns them.
    """
    if instructions is None:
        logger.warning("it is unknown whether this processor multiplies 8-bit integers faster than floats")
    elif not instructions:
        logger.warning(
            "this processor has no instructions for 8-bit integers (VNNI, AMX or Arm's dot products), so "
            "INT8 will hardly be faster than float here, and its masks may differ from those elsewhere"
        )


def refuse_drop(result, max_drop):
    """Raise `UserError` if INT8 loses more mIoU than accepted; name the layers that stayed in float."""
    left = ", ".join(result.float_layers)
    if left:
        logger.info(f"these layers stay in float: {left}")
    if result.drop > max_drop:
        tried = f", even with {left} in float" if left else ""
        raise UserError(
            f"max_drop: INT8 loses {result.drop:.4f} mIoU, more than {max_drop}{tried}, so nothing was "
            f"written; another method, more calibration_images or a training (qat.py) may lose less"
        )
