"""A command's arguments to a whole run: plain training, distillation, validation."""

import functools
import hashlib
import os

import paddle

from paddleseg.core import parallel
from paddleseg.core.evaluate import evaluate
from paddleseg.core.fit import fit
from paddleseg.core.loading import stack
from paddleseg.core.resume import digest, flattened
from paddleseg.core.step import SupervisedStep
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.datasets.file_lists import check_file_lists
from paddleseg.datasets.sampling import ReplacedSamples, SeededSamples
from paddleseg.distill.adaptor import Taps
from paddleseg.distill.distill_file import load_distill_file
from paddleseg.distill.features import FeatureLoss, check_batch_size, unique_names
from paddleseg.distill.probe import probe
from paddleseg.distill.step import DistillStep
from paddleseg.distill.teacher import Teacher
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger
from paddleseg.utils.weights import load_weights

NEEDED_TO_TRAIN = ("model", "train_dataset", "optimizer", "lr_scheduler", "loss", "iters", "batch_size")


def train(args):
    """Train a model by its labels alone.

    Args:
        args: the parsed flags of `train.py`.

    Returns:
        {'best_miou': ..., 'best_iter': ...}.
    """
    cfg = _training_config(args.config, args)
    builder = _prepare(cfg, args)
    model = parallel.with_sync_batch_norm(builder.model)
    step = SupervisedStep(parallel.parallel_model(model), builder.loss)
    return fit(step, builder, args, _evaluation(builder, args))


def distill(args):
    """Train a student under a frozen teacher.

    Args:
        args: the parsed flags of `distill_train.py`.

    Returns:
        {'best_miou': ..., 'best_iter': ...} of the student.
    """
    cfg = _training_config(args.student_config, args)
    teacher_cfg = _teacher_config(args)
    student_adaptor, teacher_adaptor, features = load_distill_file(args.distill_config)
    feature_losses = unique_names([FeatureLoss(feature) for feature in features])
    check_batch_size(feature_losses, cfg.batch_size)
    builder = _prepare(cfg, args)
    # The student first: its weights are then those of plain training with the same seed.
    student = parallel.with_sync_batch_norm(builder.model)
    teacher = Teacher(SegBuilder(teacher_cfg).model, teacher_adaptor)
    if builder.distill_loss is None and not feature_losses:
        logger.warning("neither distill_loss nor feature losses: the teacher will change nothing")
    taps = Taps(student, student_adaptor, "student")
    probe(student, taps, teacher, feature_losses, _first_images(builder, args))
    step = DistillStep(
        parallel.parallel_model(student), taps, teacher, builder.loss, builder.distill_loss, feature_losses
    )
    return fit(step, builder, args, _evaluation(builder, args), _decided_by(args, teacher_cfg, teacher))


def _decided_by(args, teacher_cfg, teacher):
    """Return what decides the outcome of a distillation beside the student's config, for a resume."""
    with open(args.distill_config, "rb") as file:
        text = file.read()
    model = {key: value for key, value in teacher_cfg["model"].items() if key != "pretrained"}
    return {
        **flattened(model, "teacher.model"),
        "teacher's weights (SHA-256)": digest(teacher.model),
        "--distill_config (SHA-256)": hashlib.sha256(text).hexdigest(),
    }


def validate(args):
    """Evaluate a model and return its `Scores`.

    Args:
        args: the parsed flags of `val.py`.
    """
    cfg = Config(
        args.config,
        opts=args.opts,
        sections=("model", "val_dataset"),
        required=("model", "val_dataset"),
    )
    parallel.set_device(args.device)
    builder = SegBuilder(cfg)
    check_file_lists(None, builder.val_dataset)
    if args.model_path is not None:
        load_weights(builder.model, args.model_path)
    elif not cfg["model"].get("pretrained"):
        raise UserError("no weights to evaluate: give --model_path, or model.pretrained in the config")
    return _evaluate_and_log(builder, _num_classes(builder), args.num_workers)


def _training_config(path, args):
    required = [*NEEDED_TO_TRAIN, "val_dataset"] if args.do_eval else NEEDED_TO_TRAIN
    return Config(
        path,
        learning_rate=args.learning_rate,
        iters=args.iters,
        batch_size=args.batch_size,
        opts=args.opts,
        required=required,
    )


def _teacher_config(args):
    cfg = Config(args.teacher_config, opts=args.teacher_opts, sections=("model",), required=("model",))
    if not cfg["model"].get("pretrained") and not args.allow_random_teacher:
        raise UserError(
            f"{cfg.path}: model.pretrained is empty, so the teacher would be random; set it to the teacher's "
            f"model.pdparams (in the file or by --teacher_opts model.pretrained=PATH), or insist with "
            f"--allow_random_teacher"
        )
    return cfg


def _prepare(cfg, args):
    """Choose the device, seed, log the config and return its builder."""
    _check_save_dir(args.save_dir)
    parallel.set_device(args.device)
    logger.info(f"Paddle {paddle.__version__} on {paddle.get_device()}, {parallel.num_ranks()} process(es)")
    logger.info(f"config {cfg.path}:\n{cfg}")
    parallel.seed_everything(args.seed)
    builder = SegBuilder(cfg)
    evaluates = not args.no_eval and builder.val_dataset is not None
    check_file_lists(builder.train_dataset, builder.val_dataset if evaluates else None, args.max_bad_samples)
    return builder


def _check_save_dir(path):
    """Refuse a folder that cannot be written before anything is trained for it."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UserError(f"--save_dir {path!r} cannot be made: {error.strerror}") from None
    if not os.access(path, os.W_OK):
        raise UserError(f"--save_dir {path!r} cannot be written to")


def _first_images(builder, args):
    """Return up to two of the first training images, as a tensor N x 3 x H x W, for the probe."""
    samples = ReplacedSamples(SeededSamples(builder.train_dataset, args.seed), args.max_bad_samples)
    count = min(2, builder.cfg.batch_size, len(samples))
    if count == 0:
        raise UserError("the training set holds no image")
    return paddle.to_tensor(stack([samples[(0, i)] for i in range(count)])["img"])


def _evaluation(builder, args):
    """Return `evaluate() -> Scores` of the model being trained, None where nothing is evaluated."""
    if args.no_eval or builder.val_dataset is None:
        return None
    return functools.partial(_evaluate_and_log, builder, _num_classes(builder), args.num_workers)


def _num_classes(builder):
    """Return the number of classes to evaluate, as the dataset says or else the config."""
    said = [
        getattr(builder.val_dataset, "num_classes", None),
        builder.cfg.get("num_classes"),
        builder.cfg["model"].get("num_classes"),
    ]
    number = next((n for n in said if n is not None), None)
    if number is None:
        raise UserError(
            f"{builder.cfg.path}: val_dataset: the number of classes is said nowhere; say num_classes at the "
            f"top of the config, or train with --no_eval"
        )
    return number


def _evaluate_and_log(builder, num_classes, num_workers, on_batch=None):
    dataset = builder.val_dataset
    batch_size = builder.cfg.get("batch_size", 1)
    result = evaluate(builder.model, dataset, num_classes, batch_size, num_workers, on_batch)
    for line in result.log_lines(len(dataset)):
        logger.info(line)
    return result
