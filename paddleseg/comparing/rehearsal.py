"""A rehearsal: each method is built and tried before anything is trained for hours."""

import logging

from paddleseg.comparing.plan import PLAIN
from paddleseg.comparing.results import Training
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.distill.build import build_step
from paddleseg.distill.teachers.engine_choice import AUTO, PADDLE
from paddleseg.errors import UserError, one_line
from paddleseg.options import DistillOptions
from paddleseg.utils.logger import logger


def rehearse(trainings, methods):
    """Build the step of each method, which tries its losses on two images; return the methods that fit.

    The teacher has its weights if they are given, else random ones.

    Args:
        trainings: `Trainings`.
        methods: names of methods; the plain student's needs no rehearsal.

    Raises:
        UserError: a method that the plan states does not fit the two models.
    """
    fitting = []
    for method in methods:
        try:
            if method != PLAIN:
                _build(trainings, method)
            fitting.append(method)
        except UserError as error:
            if trainings.plan.states_methods:
                raise
            logger.warning(f"{method} is left out, as it does not fit these models: {one_line(error)}")
    return fitting


def _build(trainings, method):
    options, plan, given = trainings.options, trainings.plan, trainings.teacher_weights
    path = trainings.config(Training(method, 0, plan.iters))
    student = Config(path, opts=trainings.opts("train_dataset", "val_dataset"))
    opts = [] if given is None else [f"model.pretrained={given}"]
    teacher = Config(plan.teacher, opts=opts, sections=("model",), required=("model",), as_teacher=True)
    if given is None:
        teacher.drop_pretrained()
    # An export of random weights would be of no use later.
    engine = PADDLE if given is None or options.teacher_engine == AUTO else options.teacher_engine
    level = logger.level
    logger.setLevel(logging.ERROR)  # the training's own log will say it all
    try:
        build_step(
            SegBuilder(student), [teacher], DistillOptions(device=options.device, teacher_engine=engine)
        )
    finally:
        logger.setLevel(level)
