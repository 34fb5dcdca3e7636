"""A trained model as a static graph, with what it takes to run it where nothing of the training is."""

import contextlib
import os
import tempfile

import paddle

from paddleseg import parallel
from paddleseg.cvlibs import SegBuilder
from paddleseg.errors import UserError, one_line
from paddleseg.exporting.deploy_file import files_of, write_deploy_file
from paddleseg.exporting.deploy_limits import check_transforms, tell_of_shape
from paddleseg.exporting.onnx_comparison import NOISE_SIZES, compare
from paddleseg.graphs import onnx_file
from paddleseg.graphs.static_graph import save_graph
from paddleseg.graphs.traced import run_and_forget
from paddleseg.utils.logger import logger
from paddleseg.utils.save_dir import new_save_dir


class ExportedModel(paddle.nn.Layer):
    """A model's main output alone, turned into what is deployed.

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
        numbers = self.numbers(x)
        return paddle.argmax(numbers, axis=1, dtype="int32") if self.output_op == "argmax" else numbers

    def numbers(self, x):
        """Return the probabilities if they are what is deployed, else the logits, N x num_classes x H x W."""
        outputs = self.model(x)  # of a static graph's own type, which `output_list` does not know
        logits = outputs[0] if isinstance(outputs, (list, tuple)) else outputs
        return paddle.nn.functional.softmax(logits, axis=1) if self.output_op == "softmax" else logits


def export(cfg, options):
    """Write the graph of a trained model and its `deploy.yaml` to `options.save_dir`.

    Args:
        cfg: the model's `Config`.
        options: `ExportOptions`.

    Raises:
        UserError: no weights, a shape that the model does not take, an ONNX file that disagrees with it, or a
            folder that cannot be written to.
    """
    if options.format == "onnx":
        onnx_file.check_installed()
    check_transforms(cfg)
    parallel.set_device("cpu")
    shape = list(options.input_shape or (-1, cfg.img_channels, -1, -1))
    model = SegBuilder(cfg).trained_model(options.model_path, "export")
    _refuse_nan(model)
    num_classes = _num_classes(model, shape)
    tell_of_shape(cfg, shape, num_classes)
    exported = ExportedModel(model, options.output_op)
    exported.eval()
    # Written beside, so that what stands in the folder in the end is whole and was compared.
    beside = {"dir": options.save_dir, "prefix": ".export."}
    with new_save_dir(options.save_dir), tempfile.TemporaryDirectory(**beside) as scratch:
        if options.format == "onnx":
            names = _write_onnx(exported, scratch, cfg, options, shape)
        else:
            names = save_graph(exported, scratch, shape)
        write_deploy_file(scratch, names, cfg, options.output_op, shape, num_classes)
        _move([*names.values(), "deploy.yaml"], scratch, options.save_dir)
    logger.info(f"exported to {options.save_dir}: {', '.join(names.values())}, deploy.yaml")


def _move(names, source, target):
    """Move files from one folder to another, and remove what an export of another format has left there.

    Raises:
        UserError: one cannot be replaced; none is then, but if the disk itself fails.
    """
    for name in names:
        if os.path.isdir(os.path.join(target, name)):
            raise UserError(f"--save_dir: {os.path.join(target, name)} is a folder; move it out of the way")
    stale = set(files_of(target)).difference(names)
    try:
        for name in names:
            os.replace(os.path.join(source, name), os.path.join(target, name))
    except OSError as error:
        raise UserError(
            f"--save_dir: {error.filename2 or target} cannot be written: {error.strerror}"
        ) from error
    for name in stale:
        with contextlib.suppress(OSError):
            os.remove(os.path.join(target, name))


def _write_onnx(exported, folder, cfg, options, shape):
    """Write a compared ONNX file to a folder and return its name as {'model': ...}.

    Raises:
        UserError: there is none that computes what the model does; what would do is said.
    """
    try:
        name = onnx_file.write(exported, folder, shape)
        compare(os.path.join(folder, name), exported, cfg, options, shape)
    except onnx_file.ConversionError as error:
        fixed = "--input_shape with a fixed H and W may do, and " if -1 in shape[2:] else ""
        raise UserError(f"{error}; {fixed}--format paddle does without it") from error
    return {"model": name}


def _num_classes(model, shape):
    """Run a model on zeros, which making a graph of it does not, and return how many classes it has.

    Raises:
        UserError: it does not take such an input.
    """
    tried = [size if size != -1 else free for size, free in zip(shape, (1, None, *NOISE_SIZES[0]))]
    try:
        outputs = run_and_forget(model, paddle.zeros(tried))
    except (ValueError, TypeError, AssertionError, RuntimeError) as error:
        told = one_line(error)[:300]
        raise UserError(f"--input_shape: the model does not run on an input of {tried}: {told}") from error
    return (outputs[0] if isinstance(outputs, (list, tuple)) else outputs).shape[1]


def _refuse_nan(model):
    """Refuse weights of a training that diverged, whose masks would be of one class all over."""
    floats = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
    wrong = [name for name, value in floats.items() if bool(paddle.isnan(value).any())]
    if wrong:
        raise UserError(f"the weights hold NaN, no numbers, such as {wrong[0]}: their training has diverged")
