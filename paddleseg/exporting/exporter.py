"""Export a trained model as a static graph or ONNX file, with its `deploy.yaml`."""

import contextlib
import os
import tempfile

import paddle

from paddleseg import parallel
from paddleseg.cvlibs import SegBuilder
from paddleseg.errors import UserError, one_line
from paddleseg.exporting.deploy_file import exported_files, write_deploy_file
from paddleseg.exporting.deploy_limits import check_transforms, warn_of_shape
from paddleseg.exporting.onnx_comparison import FLOAT16, FLOAT32, NOISE_SIZES, compare
from paddleseg.graphs import onnx_file, onnx_fp16, run_and_forget, save_graph
from paddleseg.utils.logger import logger
from paddleseg.utils.save_dir import new_save_dir


class ExportedModel(paddle.nn.Layer):
    """A model's main output alone, in the form that is deployed.

    Args:
        model: maps N x C x H x W to a list of logits, the main one first.
        output_op: "argmax" gives classes, int32 N x H x W; "softmax" probabilities and "none" the logits,
            float32 N x num_classes x H x W.
    """

    def __init__(self, model, output_op):
        super().__init__()
        self.model = model
        self.output_op = output_op

    def forward(self, x):
        scores = self.scores(x)
        return paddle.argmax(scores, axis=1, dtype="int32") if self.output_op == "argmax" else scores

    def scores(self, x):
        """Return probabilities if they are deployed, else the logits, N x num_classes x H x W."""
        logits = _main_logits(self.model(x))
        return paddle.nn.functional.softmax(logits, axis=1) if self.output_op == "softmax" else logits


def _main_logits(outputs):
    # `output_list` does not know the tensors of a static graph.
    return outputs[0] if isinstance(outputs, (list, tuple)) else outputs


def export(cfg, options):
    """Write the graph of a trained model and its `deploy.yaml` to `options.save_dir`.

    Args:
        cfg: the model's `Config`.
        options: `ExportOptions`.

    Raises:
        UserError: there are no weights, or as `export_model`.
    """
    if options.format == "onnx":
        onnx_file.check_installed()
    check_transforms(cfg)
    parallel.set_device("cpu", conv_engine="paddle")
    names = export_model(SegBuilder(cfg).trained_model(options.model_path, "export"), cfg, options)
    logger.info(f"exported to {options.save_dir}: {', '.join(names.values())}, deploy.yaml")


def export_model(model, cfg, options):
    """Write the graph of a model and its `deploy.yaml`; return the names of the graph's files as a dict.

    Args:
        model: the trained model, in eval mode, on a CPU.
        cfg, options: as in `export`; the weights that the options name are not read.

    Raises:
        UserError: the model does not take the shape, an ONNX file disagrees with it, or the folder cannot be
            written to.
    """
    shape = list(options.input_shape or (-1, cfg.img_channels, -1, -1))
    _refuse_nan(model)
    num_classes = _num_classes(model, shape)
    warn_of_shape(cfg, shape, num_classes)
    exported = ExportedModel(model, options.output_op)
    exported.eval()
    # Written to a temporary folder first, so that save_dir only gets files that are complete and compared.
    temporary = tempfile.TemporaryDirectory
    with new_save_dir(options.save_dir), temporary(dir=options.save_dir, prefix=".export.") as scratch:
        if options.format == "onnx":
            names = _write_onnx(exported, scratch, cfg, options, shape)
        else:
            names = save_graph(exported, scratch, shape)
        weights = options.model_path or cfg.pretrained
        write_deploy_file(
            scratch, names, cfg, options.output_op, shape, num_classes, options.precision, weights
        )
        move_files([*names.values(), "deploy.yaml"], scratch, options.save_dir)
    return names


def move_files(names, source, target):
    """Move files from one folder to another, and remove the other files of an earlier export there.

    Raises:
        UserError: a file cannot be replaced. Then none is, unless the disk itself fails.
    """
    for path in (os.path.join(target, name) for name in names):
        if os.path.isdir(path):
            raise UserError(f"save_dir: {path} is a folder; move it out of the way")
    stale = set(exported_files(target)).difference(names)
    try:
        for name in names:
            os.replace(os.path.join(source, name), os.path.join(target, name))
    except OSError as error:
        raise UserError(
            f"save_dir: {error.filename2 or target} cannot be written: {error.strerror}"
        ) from error
    for name in stale:
        with contextlib.suppress(OSError):
            os.remove(os.path.join(target, name))


def _write_onnx(exported, folder, cfg, options, shape):
    """Write an ONNX file to a folder, compare it with the model, and return its name as {'model': ...}.

    Raises:
        UserError: no ONNX file computes what the model does; the message says what would do.
    """
    try:
        name = onnx_file.write(exported, folder, shape, options.opset or onnx_file.OPSET)
        path = os.path.join(folder, name)
        compare(path, exported, cfg, options, shape, FLOAT32)
    except onnx_file.ConversionError as error:
        fixed = "an input_shape with a fixed H and W may work, and " if -1 in shape[2:] else ""
        raise UserError(f"{error}; {fixed}format paddle needs no ONNX file") from error
    if options.precision == "fp16":
        # After the comparison, so that a wrong conversion cannot hide in the rounding.
        onnx_fp16.to_fp16(path)
        try:
            compare(path, exported, cfg, options, shape, FLOAT16)
        except onnx_file.ConversionError as error:
            raise UserError(f"{error}; leave --precision fp16 out") from error
    return {"model": name}


def _num_classes(model, shape):
    """Run a model on zeros and return its number of classes.

    Raises:
        UserError: the model does not take an input of this shape.
    """
    tried = [size if size != -1 else free for size, free in zip(shape, (1, None, *NOISE_SIZES[0]))]
    try:
        return _main_logits(run_and_forget(model, paddle.zeros(tried))).shape[1]
    except (ValueError, TypeError, AssertionError, RuntimeError) as error:
        reason = one_line(error)[:300]
        raise UserError(f"input_shape: the model does not run on an input of {tried}: {reason}") from error


def _refuse_nan(model):
    """Refuse weights of a training that diverged; their masks would show one class everywhere."""
    floats = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
    wrong = [name for name, value in floats.items() if bool(paddle.isnan(value).any())]
    if wrong:
        raise UserError(f"the weights contain NaN, such as {wrong[0]}: their training has diverged")
