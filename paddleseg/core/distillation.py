"""From two configs, or more, to the step that distils."""

import hashlib
from dataclasses import dataclass
from typing import Optional

import paddle

from paddleseg.core import parallel
from paddleseg.core.loading import stack
from paddleseg.core.resume import digest, flattened
from paddleseg.cvlibs import Config, SegBuilder, manager
from paddleseg.cvlibs.check_distill import logits_at, num_unlabeled
from paddleseg.cvlibs.config import SECTIONS, as_yaml
from paddleseg.cvlibs.said import class_counts, ignore_indices, normalizations, without_weights
from paddleseg.datasets.sampling import ReplacedSamples, SeededSamples
from paddleseg.distill.declared import declared_taps, features_of_config
from paddleseg.distill.distill_file import load_distill_file
from paddleseg.distill.features import check_batch_size
from paddleseg.distill.list_taps import find_taps, table
from paddleseg.distill.onnx_teacher import ONNXTeacher
from paddleseg.distill.outputs import counterparts
from paddleseg.distill.probe import check_logits, feature_losses, observe
from paddleseg.distill.step import DistillNet, DistillStep
from paddleseg.distill.taps import Taps
from paddleseg.distill.teacher import Teacher, Teachers
from paddleseg.errors import UserError, counted
from paddleseg.models.losses.combine import check_count
from paddleseg.utils.logger import logger


@dataclass(frozen=True)
class Plan:
    """What is to be distilled of the features, and from how many teachers.

    Attributes:
        student_adaptor, teacher_adaptor: classes derived from `AdaptorBase`; of teachers, the first's.
        features: list of `Feature`, of the distill_config.py and of the config.
        weighting: how several teachers' logits are joined.
        distill_file: the path of the distill_config.py, None if it declares no feature.
    """

    student_adaptor: type
    teacher_adaptor: type
    features: list
    weighting: str
    distill_file: Optional[str]


def make_plan(cfg, distill_file, num_teachers):
    """Read what a student's checked config and a distill_config.py declare, and return a `Plan`.

    Raises:
        UserError: the file is not of its form, a teacher is asked for who is not there, a batch is too small.
    """
    student_adaptor, teacher_adaptor, from_file = load_distill_file(distill_file)
    features = [*from_file, *features_of_config(cfg)]
    for feature in features:
        if feature.teacher_index >= num_teachers:
            raise UserError(
                f"{feature.place('teacher_index')}: {feature.teacher_index}, but the last of "
                f"{counted(num_teachers, 'teacher')} is {num_teachers - 1}"
            )
    weighting = cfg.get("distill", {}).get("teacher_weighting", "mean")
    if weighting == "confidence" and num_teachers == 1:
        place = cfg.place("distill", "teacher_weighting")
        raise UserError(f"{place}: confidence weighs teachers against one another, and there is one")
    if weighting == "confidence" and not cfg.get("distill_loss"):
        place = cfg.place("distill", "teacher_weighting")
        raise UserError(f"{place}: confidence weighs logits, and without distill_loss none are compared")
    _check_use(cfg, features, num_teachers)
    check_batch_size(features, cfg.batch_size)
    used = distill_file if from_file else None
    return Plan(student_adaptor, teacher_adaptor, features, weighting, used)


def _check_use(cfg, features, num_teachers):
    """Raise `UserError` where nothing is left to train by, or a teacher is there for nothing."""
    if cfg.get("distill_loss"):
        return
    if not features and num_unlabeled(cfg.dic) == cfg.batch_size:
        raise UserError(
            f"{cfg.place('distill', 'unlabeled_share')}: without labels, distill_loss and feature losses "
            f"there is nothing to train by"
        )
    asked = {feature.teacher_index for feature in features}
    idle = [k for k in range(num_teachers) if k not in asked]
    if features and idle:
        raise UserError(
            f"--teacher_config: nobody asks teacher {idle[0]}: there is no distill_loss, and no entry of "
            f"{cfg.place('distill', 'features')} has that teacher_index"
        )


def teacher_configs(args, weights_needed=True):
    """Return the checked `Config` of each teacher.

    Args:
        args: the parsed flags of `distill_train.py`.
        weights_needed: refuse a teacher without weights, unless the flags insist on one.

    Raises:
        UserError: a config has mistakes or no weights, or the groups of --teacher_opts are not one a teacher.
    """
    paths = [args.teacher_config] if isinstance(args.teacher_config, str) else args.teacher_config
    groups = args.teacher_opts or []
    if len(paths) == 1:
        groups = [[opt for group in groups for opt in group]]
    elif groups and len(groups) != len(paths):
        raise UserError(
            f"--teacher_opts is given {counted(len(groups), 'time')} for {len(paths)} teachers; give it once "
            f"for each, in their order (nothing behind it changes nothing)"
        )
    configs = [
        Config(path, opts=opts, sections=("model",), required=("model",), as_teacher=True)
        for path, opts in zip(paths, groups or [[]] * len(paths))
    ]
    for cfg in configs:
        of_a_file = getattr(manager.MODELS[cfg["model"]["type"]], "teacher_only", False)
        random = not of_a_file and not cfg["model"].get("pretrained")
        if weights_needed and random and not args.allow_random_teacher:
            raise UserError(
                f"{cfg.path}: model.pretrained is empty, so the teacher would be random; set it to the "
                f"teacher's model.pdparams (in the file or by --teacher_opts model.pretrained=PATH), or "
                f"insist with --allow_random_teacher"
            )
    return configs


def distill_step(builder, teacher_cfgs, plan, seed, to_static=False):
    """Build student and teachers, try them on some images, and return the `DistillStep`.

    Args:
        builder: the student's `SegBuilder`.
        teacher_cfgs: a `Config` of each teacher.
        plan: a `Plan`.
        seed: of the run.
        to_static: whether the student's forward pass is a static graph.

    Raises:
        UserError: something that was declared does not exist in the models, or does not fit; or features
            are to be distilled by a static graph, and Paddle is 2.
    """
    if to_static and plan.features and int(paddle.__version__.split(".")[0]) < 3:
        raise UserError(
            f"--to_static_training with features to distil needs Paddle 3, this is {paddle.__version__}, in "
            f"whose graphs what forward leaves on a layer is another tensor; train without that flag"
        )
    for k, cfg in enumerate(teacher_cfgs):
        logger.info(f"model of teacher {k}, {cfg.path}:\n{as_yaml(cfg['model'])}")
    # The student first: its weights are then those of plain training with the same seed.
    student = parallel.with_sync_batch_norm(builder.model)
    taps = Taps(student, "student", plan.student_adaptor, declared_taps(plan.features, "student"))
    teachers = [
        Teacher(
            teacher_model(cfg, builder.cfg),
            plan.teacher_adaptor if k == 0 else None,
            declared_taps(plan.features, "teacher", k),
        )
        for k, cfg in enumerate(teacher_cfgs)
    ]
    if builder.distill_loss is None and not plan.features:
        logger.warning("neither distill_loss nor feature losses: the teacher will change nothing")
    at = logits_at(builder.cfg.dic)
    seen = observe(student, taps, teachers, first_batch(builder, seed), at)
    if builder.distill_loss is not None:
        _check_logits(builder, seen, at)
    counts = class_counts(builder.cfg.dic, SECTIONS)
    ignore_index = _ignore_index(builder.cfg)
    losses = feature_losses(plan.features, seen, counts[0][1] if counts else None, ignore_index)
    losses = [parallel.with_sync_batch_norm(loss) for loss in losses]
    net = DistillNet(student, taps, builder.loss, builder.distill_loss, losses, at, to_static)
    weighting = None if builder.distill_loss is None else plan.weighting
    return DistillStep(
        parallel.parallel_model(net, find_unused_parameters=net.may_rest),
        Teachers(teachers, weighting, ignore_index, at),
        net.extra,
        plan.features,
    )


def teacher_model(cfg, student_cfg):
    """Return the model of a teacher's `Config`, told how the student's images are normalised if it must know.

    Raises:
        UserError: the model cannot be built, or the student's config does not say it, or says two things.
    """
    model = SegBuilder(cfg).model
    if isinstance(model, ONNXTeacher):
        model.normalized_by(*_normalization(student_cfg))
    return model


def _normalization(cfg):
    """Return the mean and std by which a student's config normalises what it trains on."""
    share = num_unlabeled(cfg.dic)
    sections = ["train_dataset"] if share < cfg.batch_size else []
    sections += ["unlabeled_dataset"] if share else []
    said = normalizations(cfg.dic, sections)
    for path, mean, std in said:
        if mean is None:
            raise UserError(
                f"{cfg.place(*path)}: an ONNXTeacher must know how images are normalised, and there are no "
                f"transforms here that say it"
            )
        if (mean, std) != said[0][1:]:
            raise UserError(
                f"{cfg.place(*path)}: it normalises otherwise than {'.'.join(map(str, said[0][0]))}, and an "
                f"ONNXTeacher can undo one"
            )
    return said[0][1:]


def _check_logits(builder, seen, at):
    try:
        check_logits(seen, at)
        joined = counterparts(*(logits for logits, _ in seen.teachers))
        check_count(builder.distill_loss["types"], counterparts(seen.student[0], joined))
    except UserError as error:
        raise UserError(f"{builder.cfg.place('distill_loss')}: {error}") from None


def _ignore_index(cfg):
    said = ignore_indices(cfg.dic, SECTIONS)
    return said[0][1] if said else 255


def first_batch(builder, seed):
    """Return up to two of the first training samples, as the step is given them."""
    unlabeled = num_unlabeled(builder.cfg.dic) == builder.cfg.batch_size
    dataset = builder.unlabeled_dataset if unlabeled else builder.train_dataset
    # Which samples these are does not matter; the training judges those that cannot be read.
    samples = ReplacedSamples(SeededSamples(dataset, seed, labeled=not unlabeled), seed, len(dataset))
    count = min(2, builder.cfg.batch_size, len(samples))
    if count == 0:
        raise UserError("the training set holds no image")
    batch = stack([samples.read((0, i))[0] for i in range(count)])
    return {key: paddle.to_tensor(value) for key, value in batch.items()}


def images_of_a_batch(builder, seed):
    """Return N x 3 x H x W of the training's batch size, made of the images of `first_batch`."""
    images = first_batch(builder, seed)["img"]
    copies = -(-builder.cfg.batch_size // images.shape[0])
    return paddle.concat([images] * copies)[: builder.cfg.batch_size]


def print_taps(builder, teacher_cfgs, seed):
    """Print the taps of student and teachers, with their shapes for one image of the training set."""
    image = first_batch(builder, seed)["img"][:1]
    configs = [builder.cfg, *teacher_cfgs]
    for cfg in configs:
        without_weights(cfg["model"])
    models = [builder.model, *(teacher_model(cfg, builder.cfg) for cfg in teacher_cfgs)]
    roles = [
        "student",
        *(f"teacher {k}" if len(teacher_cfgs) > 1 else "teacher" for k in range(len(teacher_cfgs))),
    ]
    size = " x ".join(str(n) for n in image.shape)
    listed = [
        (
            f"{role}, {type(model).__name__} of {cfg.path}, for images {size}:",
            find_taps(model, image, role == roles[0]),
        )
        for role, cfg, model in zip(roles, configs, models)
    ]
    print(table(listed), flush=True)


def decided_by(distill_file, teacher_cfgs, teachers):
    """Return what decides the outcome of a distillation beside the student's config and flags.

    A teacher's weights are told by their content, so its file may be moved.

    Args:
        distill_file: path of the distill_config.py.
        teacher_cfgs: a `Config` of each teacher.
        teachers: the `Teachers`.
    """
    with open(distill_file, "rb") as file:
        decided = {"--distill_config (SHA-256)": hashlib.sha256(file.read()).hexdigest()}
    for k, (cfg, teacher) in enumerate(zip(teacher_cfgs, teachers.teachers)):
        of_a_file = isinstance(teacher.model, ONNXTeacher)
        where = "path" if of_a_file else "pretrained"
        model = {key: value for key, value in cfg["model"].items() if key != where}
        decided.update(flattened(model, f"teacher {k}: model"))
        weights = teacher.model.digest if of_a_file else digest(teacher.model)
        decided[f"teacher {k}: weights (SHA-256)"] = weights
    return decided
