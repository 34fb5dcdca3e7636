"""Training, distillation, evaluation and prediction of Python objects, with PaddleSeg's parameters."""

import os

import numpy as np
import paddle

from paddleseg.datasets.sampling import SeededSamples
from paddleseg.distill.distiller import Distiller
from paddleseg.distill.given_losses import ignored_label_of, loss_section, with_ignored
from paddleseg.distill.probe import training_logits
from paddleseg.errors import UserError
from paddleseg.evaluation.inference import eval_mode
from paddleseg.evaluation.photographs import Predictor, predict_files
from paddleseg.evaluation.prediction_files import PredictionFiles
from paddleseg.options import EvaluateOptions, TrainOptions
from paddleseg.options.base import options_of
from paddleseg.training import SupervisedStep, evaluating, starting
from paddleseg.training.script_run import ScriptRun, check_dataset, eval_config, fit_script, start_script
from paddleseg.transforms import Compose
from paddleseg.utils.image_files import ImageFile, named_images
from paddleseg.utils.logger import logger
from paddleseg.utils.pictures import class_colors
from paddleseg.weights.load import load_weights

_PROFILER = "profiler_options is of PaddleSeg's profiler; profile=N times N iterations here"


def train(
    model,
    train_dataset,
    val_dataset=None,
    optimizer=None,
    save_dir="output",
    iters=10000,
    batch_size=2,
    resume_model=None,
    save_interval=1000,
    log_iters=10,
    num_workers=0,
    use_vdl=False,
    use_ema=False,
    losses=None,
    keep_checkpoint_max=5,
    test_config=None,
    precision="fp32",
    amp_level="O1",
    profiler_options=None,
    to_static_training=False,
    **options,
):
    """Train a model by its labels alone.

    Args:
        model: a `paddle.nn.Layer` that maps images to a tensor of logits or a list of them.
        train_dataset, val_dataset: map-style data sets. Without the second nothing is evaluated.
        optimizer: one of `paddle.optimizer`, of the model's parameters.
        losses: {'types': [loss, ...], 'coef': [number, ...]}, one for each output of the model; or as
            `Distiller` takes `loss`.
        iters, batch_size: of the training; `batch_size` is that of one process.
        test_config: a dict of arguments of `evaluate`, such as is_slide. Default None.
        profiler_options: refused; `profile=N` measures.
        save_dir, resume_model, save_interval, log_iters, num_workers, use_vdl, use_ema, keep_checkpoint_max,
            precision, amp_level, to_static_training: fields of `TrainOptions`, with PaddleSeg's defaults.
        **options: other fields of `TrainOptions`, such as seed or accumulate_steps. The default of
            conv_engine is "paddle" here.

    Returns:
        {"best_miou": ..., "best_iter": ..., "best_class_iou": ...}; {} where nothing was evaluated.

    Raises:
        UserError: an argument is missing or wrong, or the training cannot go on.
    """
    if profiler_options is not None:
        raise UserError(f"train: {_PROFILER}")
    _need(train_dataset=train_dataset, optimizer=optimizer, losses=losses)
    options = options_of(
        TrainOptions,
        "train",
        save_dir=save_dir,
        resume_model=resume_model,
        save_interval=save_interval,
        log_iters=log_iters,
        num_workers=num_workers,
        use_vdl=use_vdl,
        use_ema=use_ema,
        keep_checkpoint_max=keep_checkpoint_max,
        precision=precision,
        amp_level=amp_level,
        to_static_training=to_static_training,
        **{"conv_engine": "paddle", **options},
    )
    start_script(options, model)
    logits = training_logits(model, _images(train_dataset))
    num_classes = logits[0].shape[1]
    ignored = getattr(train_dataset, "ignore_index", ignored_label_of(losses))
    available = {"num_classes": num_classes, "ignore_index": ignored}
    section = with_ignored(loss_section(losses, len(logits), "losses", "label", available), ignored)
    run = ScriptRun(
        model,
        train_dataset,
        val_dataset,
        optimizer=optimizer,
        test_config=test_config,
        iters=iters,
        batch_size=batch_size,
        num_classes=num_classes,
        loss=section,
    )
    starting.look_at_data(run, options, with_unlabeled=False)
    step = SupervisedStep(model, section, to_static_training)
    return fit_script(step, run, options)


def distill(
    student,
    teacher,
    train_dataset,
    val_dataset=None,
    optimizer=None,
    save_dir="output",
    iters=10000,
    batch_size=2,
    resume_model=None,
    save_interval=1000,
    log_iters=10,
    num_workers=0,
    use_vdl=False,
    losses=None,
    distill_losses=None,
    keep_checkpoint_max=5,
    test_config=None,
    features=(),
    **options,
):
    """Train a student under frozen teachers, with the parameters of PaddleSeg's `distill_train`.

    Args:
        student, teacher: layers; `teacher` may be a list of several. See `Distiller`.
        losses: between the student's logits and the label, as in `train`.
        distill_losses: between the logits of student and teacher, in the same form. Default none.
        features: a list of `Feature`. A connector has parameters of its own, which the optimizer must have:
            make a `Distiller`, an optimizer of its parameters, and call its `fit`. Default none.
        train_dataset, val_dataset, optimizer, iters, batch_size, test_config: as in `train`.
        save_dir, resume_model, save_interval, log_iters, num_workers, use_vdl, keep_checkpoint_max: fields of
            `DistillOptions`, with PaddleSeg's defaults.
        **options: other fields of `DistillOptions`, and the other arguments of `Distiller.fit`.

    Returns:
        As `train`, of the student.

    Raises:
        UserError: an argument is missing or wrong, or the training cannot go on.
    """
    _need(train_dataset=train_dataset, optimizer=optimizer)
    distiller = Distiller(student, teacher, losses, distill_losses, features, _images(train_dataset))
    return distiller.fit(
        train_dataset,
        val_dataset,
        optimizer=optimizer,
        iters=iters,
        batch_size=batch_size,
        save_dir=save_dir,
        test_config=test_config,
        resume_model=resume_model,
        save_interval=save_interval,
        log_iters=log_iters,
        num_workers=num_workers,
        use_vdl=use_vdl,
        keep_checkpoint_max=keep_checkpoint_max,
        **options,
    )


def evaluate(
    model,
    eval_dataset,
    aug_eval=False,
    scales=1.0,
    flip_horizontal=False,
    flip_vertical=False,
    is_slide=False,
    stride=None,
    crop_size=None,
    precision="fp32",
    amp_level="O1",
    num_workers=0,
    print_detail=True,
    auc_roc=False,
):
    """Return the scores of a model on a data set: (mIoU, accuracy, IoU, precision, kappa), as PaddleSeg does.

    IoU and precision are arrays of one number for each class, float64.

    Args:
        model: a `paddle.nn.Layer` that maps images to a tensor of logits or a list of them.
        eval_dataset: a map-style data set in evaluation mode, with `num_classes`.
        aug_eval: infer each image at `scales` and flipped, and average the logits. Default False.
        scales, flip_horizontal, flip_vertical: see `EvalConfig`; without `aug_eval` they have no effect.
        is_slide: infer in windows. Default False.
        stride, crop_size: (width, height) of the windows; without `is_slide` they have no effect.
        precision, amp_level: evaluations compute in float32; another precision is a warning.
        num_workers: processes that read. Default 0, this process.
        print_detail: whether to log the scores and a progress bar. Default True.
        auc_roc: whether to log the area under the ROC curve, too. Default False.

    Raises:
        UserError: the data set states no `num_classes` or is empty, or an argument is wrong.
    """
    _need(eval_dataset=eval_dataset)
    check_dataset("eval_dataset", eval_dataset)
    if precision != "fp32":
        logger.warning(
            f"evaluate: precision {precision}, amp_level {amp_level}: evaluations compute in float32"
        )
    arguments = {
        "aug_eval": aug_eval,
        "scales": scales,
        "flip_horizontal": flip_horizontal,
        "flip_vertical": flip_vertical,
        "is_slide": is_slide,
        "stride": stride,
        "crop_size": crop_size,
        "auc_roc": auc_roc,
    }
    run = ScriptRun(model, val_dataset=eval_dataset, test_config=arguments)
    options = EvaluateOptions(num_workers=num_workers, log_style="auto" if print_detail else "plain")
    evaluation = evaluating.evaluate_and_log if print_detail else evaluating.scores_of
    scores = evaluation(run, options)
    return scores.miou, scores.acc, scores.class_iou, scores.class_precision, scores.kappa


def predict(
    model,
    model_path,
    transforms,
    image_list,
    image_dir=None,
    save_dir="output",
    aug_pred=False,
    scales=1.0,
    flip_horizontal=True,
    flip_vertical=False,
    is_slide=False,
    stride=None,
    crop_size=None,
    custom_color=None,
):
    """Write masks and overlays of images to `pseudo_color_prediction` and `added_prediction` in `save_dir`.

    Args:
        model: a `paddle.nn.Layer` that maps images to a tensor of logits or a list of them.
        model_path: a file of its weights; None for those that it has.
        transforms: a `Compose`, or a list of transforms. Those that move pixels at random are left out, with
            a warning, as the masks would not fit the images.
        image_list: a list of paths.
        image_dir: the folder that names of results are relative to. Default None, for the names of the files.
        save_dir: where pictures go. Default "output".
        aug_pred: infer each image at `scales` and flipped, and average the logits. Default False.
        scales, flip_horizontal, flip_vertical: see `EvalConfig`; without `aug_pred` they have no effect.
        is_slide: infer in windows. Default False.
        stride, crop_size: (width, height) of the windows; without `is_slide` they have no effect.
        custom_color: red, green and blue of the first classes, one after the other. Default None, for
            `class_colors`.

    Raises:
        UserError: an argument is wrong. Also if some images could not be read, predicted or written; then all
            other images are done.
    """
    if isinstance(image_list, (str, os.PathLike)):
        image_list = [image_list]
    images = _named(image_list, image_dir)
    config = eval_config(
        {
            "aug_eval": aug_pred,
            "scales": scales,
            "flip_horizontal": flip_horizontal,
            "flip_vertical": flip_vertical,
            "is_slide": is_slide,
            "stride": stride,
            "crop_size": crop_size,
        }
    )
    if model_path is not None:
        load_weights(model, model_path)
    predictor = Predictor(model, _of_prediction(transforms), config)
    colors = class_colors(getattr(model, "num_classes", None), custom_color)
    files = PredictionFiles(save_dir, ["model"], colors)
    files.refuse_inputs(images)
    with eval_mode(model):
        predict_files(images, {"model": predictor}, files)


def _need(**arguments):
    """Raise `UserError` for the first argument that is missing."""
    for name, value in arguments.items():
        if value is None:
            raise UserError(f"{name} is missing")


def _images(dataset):
    """Return the first image of a data set as a batch of two."""
    check_dataset("train_dataset", dataset)
    if len(dataset) == 0:
        raise UserError("train_dataset holds no image")
    image = SeededSamples(dataset, 0, labeled=False)[0, 0]["img"]
    return paddle.to_tensor(np.stack([image, image]))


def _named(paths, folder):
    """Return the `ImageFile`s of paths; their names are relative to a folder if one is given."""
    paths = [os.fspath(path) for path in paths]
    if folder is None or not paths:
        return named_images(paths)
    names = [os.path.relpath(path, folder).replace(os.sep, "/") for path in paths]
    outside = [path for path, name in zip(paths, names) if name.startswith("../")]
    if outside:
        raise UserError(f"image_list: {outside[0]!r} is not in image_dir {folder!r}")
    return [ImageFile(path, None, name, os.path.splitext(name)[0]) for path, name in zip(paths, names)]


def _of_prediction(transforms):
    """Return a `Compose` without transforms that move pixels at random."""
    if not isinstance(transforms, (Compose, list, tuple)):
        raise UserError(f"transforms must be a Compose or a list of transforms, not {transforms!r}")
    compose = transforms if isinstance(transforms, Compose) else Compose(transforms)
    moving = [item for item in compose.transforms if getattr(item, "train_only", False)]
    if not moving:
        return compose
    names = ", ".join(type(item).__name__ for item in moving)
    logger.warning(f"predict: {names} would move the masks away from the images and is left out")
    fixed = [item for item in compose.transforms if item not in moving]
    return Compose(fixed, compose.to_rgb, compose.img_channels, compose.img_range, compose.ignore_index)
