"""From the configs of a student and its teachers to the step of their distillation."""

import paddle

from paddleseg import parallel
from paddleseg.checkpoints.resume import recorded_settings
from paddleseg.cvlibs import SegBuilder, manager
from paddleseg.cvlibs.config import as_yaml
from paddleseg.datasets.loading import stack
from paddleseg.datasets.sampling import ReplacedSamples, SeededSamples
from paddleseg.distill.channels import explain_failures
from paddleseg.distill.features import declared_taps
from paddleseg.distill.list_taps import find_taps, table
from paddleseg.distill.outputs import counterparts
from paddleseg.distill.plan import check_use_of_logits, make_plan
from paddleseg.distill.probe import check_logits, feature_losses, observe, roles, try_distill_loss
from paddleseg.distill.step import DistillNet, DistillStep
from paddleseg.distill.taps import Taps
from paddleseg.distill.teachers import (
    Teacher,
    Teachers,
    attach_caches,
    check_classes,
    check_engine,
    check_range,
    choose_engines,
    is_teacher_only,
    renormalization,
)
from paddleseg.errors import UserError, counted
from paddleseg.losses.combine import check_loss_count
from paddleseg.utils.logger import logger


def build_step(builder, teacher_cfgs, options):
    """Build student and teachers, run them once on some images, and return the `DistillStep`.

    Args:
        builder: the student's `SegBuilder`.
        teacher_cfgs: a `Config` of each teacher.
        options: `DistillOptions`.

    Raises:
        UserError: a declaration names something that the models do not have, or does not fit them; or
            features are to be distilled in a static graph under Paddle 2.
    """
    check_engine(options.teacher_engine)
    plan = make_plan(builder.cfg, options.distill_config, len(teacher_cfgs))
    _check_static(plan, options)
    for k, cfg in enumerate(teacher_cfgs):
        logger.info(f"teacher {k}: {cfg.model_type} of {cfg.path}")
        if options.log_config:
            logger.info(f"model of teacher {k}:\n{as_yaml(cfg['model'])}")
    step = _build_models_and_step(builder, teacher_cfgs, plan, options)
    prepare_teachers(step, builder, plan.features, options)
    return step


def prepare_teachers(step, builder, features, options):
    """Choose what computes each teacher of a step, and attach their caches if the options name a folder.

    Args:
        step: a `DistillStep`, changed in place.
        builder: the student's `SegBuilder`.
        features: list of `Feature`.
        options: `DistillOptions`.
    """
    step.engines = choose_engines(
        step.teachers,
        images_of_a_batch(builder, options.seed),
        builder.cfg.iters * options.accumulate_steps,
        options.teacher_engine,
        recorded_settings(options),
    )
    if options.teacher_cache:
        attach_caches(step, builder, features, options)


def check_teacher_weights(teacher_cfgs, options):
    """Raise `UserError` for a teacher without weights, unless the options allow it."""
    for cfg in teacher_cfgs:
        # Teacher-only models load their own weights, so their configs name none.
        brings_own_weights = is_teacher_only(manager.MODELS[cfg.model_type])
        if not (brings_own_weights or cfg.pretrained or options.allow_random_teacher):
            raise UserError(
                f"{cfg.path}: model.pretrained is empty, so the teacher would be random; set it to the "
                f"teacher's model.pdparams (in the file or by teacher_opts model.pretrained=PATH), or set "
                f"allow_random_teacher"
            )


def _check_static(plan, options):
    if options.to_static_training and plan.features and int(paddle.__version__.split(".")[0]) < 3:
        raise UserError(
            f"to_static_training with features to distil needs Paddle 3: in a static graph of Paddle "
            f"{paddle.__version__}, a tensor that forward leaves on a layer cannot be read; train without "
            f"to_static_training"
        )


def _build_models_and_step(builder, teacher_cfgs, plan, options):
    cfg = builder.cfg
    # The student comes first, so that it has the initial weights of plain training with the same seed.
    student = parallel.with_sync_batch_norm(builder.model)
    taps = Taps(student, "student", plan.student_adaptor, declared_taps(plan.features, "student"))
    teachers = []
    for k, (role, teacher_cfg) in enumerate(zip(roles(teacher_cfgs), teacher_cfgs)):
        if cfg.compares_logits:
            check_classes(cfg, teacher_cfg, role)
        check_range(cfg, teacher_cfg, role)
        adaptor = plan.teacher_adaptor if k == 0 else None  # a distill_config.py has one for the first alone
        declared = declared_taps(plan.features, "teacher", k)
        model = teacher_model(teacher_cfg, cfg)
        # A teacher-only model converts its images itself.
        images = None if is_teacher_only(model) else renormalization(cfg, teacher_cfg, role)
        teachers.append(Teacher(model, adaptor, declared, teacher_cfg, images))
    check_use_of_logits(cfg, plan.features, teachers)
    if builder.distill_loss is None and not plan.features:
        logger.warning("neither distill_loss nor feature losses: the teacher has no effect")
    observed = observe(student, taps, teachers, first_batch(builder, options.seed), cfg.logits_at, cfg)
    if builder.distill_loss is not None:
        _check_logits_and_losses(builder, observed)
    losses = feature_losses(plan.features, observed, cfg.num_classes, cfg.ignore_index, cfg.batch_size)
    net = DistillNet(
        student,
        taps,
        builder.loss if cfg.has_labels else None,
        builder.distill_loss,
        [parallel.with_sync_batch_norm(loss) for loss in losses],
        cfg.logits_at,
        options.to_static_training,
        lambda *keys: cfg.place("distill_loss", *keys),
    )
    weighting = None if builder.distill_loss is None else cfg.teacher_weighting
    joined_teachers = Teachers(teachers, weighting, cfg.ignore_index, cfg.logits_at)
    trains_logits = _trains_logits(cfg, observed, options)
    return DistillStep(net, joined_teachers, cfg.unlabeled_per_batch, options.distill_config, trains_logits)


def _trains_logits(cfg, observed, options):
    """Return whether the student's logits are trained; say so where they are not.

    Raises:
        UserError: they are not, and the options insist on evaluations.
    """
    if not observed.unreached:
        return True
    names = observed.unreached
    problem = (
        f"{cfg.place('distill')}: no loss reaches {counted(len(names), 'parameter')} of the student that its "
        f"logits depend on, such as {names[-1]}, so an mIoU would mean nothing"
    )
    if options.do_eval:
        raise UserError(f"{problem}; leave out do_eval")
    logger.info(f"{problem}: there are no evaluations, and a training with labels must follow")
    return False


def teacher_model(cfg, student_cfg):
    """Build the model of a teacher's `Config` and return it.

    A teacher-only model gets the student's normalisation, which it must undo.

    Raises:
        UserError: the model cannot be built; or it is teacher-only, and the student's config has no
            normalisation or two different ones.
    """
    model = SegBuilder(cfg).model
    if is_teacher_only(model):
        try:
            model.set_input_normalization(*student_cfg.normalization.value)
        except UserError as error:
            raise UserError(f"{error}, and a {cfg.model_type} must undo it") from None
    return model


def _check_logits_and_losses(builder, observed):
    """Raise `UserError` unless the logits can be compared, by a sound loss for each pair of them."""
    try:
        check_logits(observed, builder.cfg.logits_at)
        # The outputs that the teachers have in common, then those that they and the student have in common.
        teacher_outputs = counterparts(*observed.teacher_logits.values())
        student_logits, _ = observed.student
        outputs = counterparts(student_logits, teacher_outputs)
        if builder.distill_loss.get("each_output"):
            for key in ("types", "coef"):
                builder.distill_loss[key] *= len(outputs)
        check_loss_count(builder.distill_loss["types"], outputs)
    except UserError as error:
        raise UserError(f"{builder.cfg.place('distill_loss')}: {error}") from None
    cfg, section = builder.cfg, builder.distill_loss
    place = f"{cfg.place('distill_loss')}.types"
    try_distill_loss(section, observed, cfg.logits_at, cfg.num_classes, cfg.batch_size, place)


def first_batch(builder, seed):
    """Return up to two of the first training samples, as a batch for the step."""
    labeled = builder.cfg.has_labels
    dataset = builder.train_dataset if labeled else builder.unlabeled_dataset
    # Any readable samples will do here; the training itself limits how many may be unreadable.
    seeded = SeededSamples(dataset, seed, labeled=labeled)
    samples = ReplacedSamples(seeded, seed, max_bad=len(dataset))
    count = min(2, builder.cfg.batch_size, len(samples))
    if count == 0:
        raise UserError("the training set holds no image")
    # `read` also returns which samples it could not read; here nobody needs them.
    batch = stack([sample for sample, _ in (samples.read((0, i)) for i in range(count))])
    return {key: paddle.to_tensor(value) for key, value in batch.items()}


def images_of_a_batch(builder, seed):
    """Return the images of `first_batch`, repeated to the training's batch size: N x C x H x W."""
    images = first_batch(builder, seed)["img"]
    copies = -(-builder.cfg.batch_size // images.shape[0])
    return paddle.concat([images] * copies)[: builder.cfg.batch_size]


def taps_table(builder, teacher_cfgs, seed):
    """Return the taps of student and teachers, with their shapes for one training image, as text."""
    image = first_batch(builder, seed)["img"][:1]
    size = " x ".join(str(n) for n in image.shape)
    models = []
    for role, cfg in zip(["the student", *roles(teacher_cfgs)], [builder.cfg, *teacher_cfgs]):
        cfg.drop_pretrained()  # the shapes do not depend on weights, whose files may be elsewhere
        is_student = cfg is builder.cfg
        model = builder.model if is_student else teacher_model(cfg, builder.cfg)
        heading = f"{role.replace('the ', '')}, {type(model).__name__} of {cfg.path}, for images {size}:"
        with explain_failures(image, model, role, cfg, builder.cfg):
            models.append((heading, find_taps(model, image, training=is_student)))
    return table(models, image.shape[2:])
