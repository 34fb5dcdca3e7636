"""A rehearsal: each method is built and tried before anything is trained for hours."""

import logging

from paddleseg.comparing.plan import PLAIN
from paddleseg.comparing.results import Training
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.distill.build import build_step
from paddleseg.distill.teachers.engine_choice import AUTO, PADDLE
from paddleseg.options import DistillOptions
from paddleseg.utils.logger import logger


def rehearse(trainings, methods):
    """Build the step of each method, which tries its losses on two images.

    The teacher has its weights if they are given, else random ones.

    Args:
        trainings: `Trainings`.
        methods: names of methods; the plain student's needs no rehearsal.

    Raises:
        UserError: a method does not fit the two models.
    """
    options = trainings.options
    given = trainings.teacher_weights
    # An export of random weights would be of no use later.
    engine = PADDLE if given is None or options.teacher_engine == AUTO else options.teacher_engine
    settings = DistillOptions(device=options.device, teacher_engine=engine)
    for method in methods:
        if method == PLAIN:
            continue
        training = Training(method, 0, trainings.plan.iters)
        student = Config(trainings.config(training), opts=trainings.opts("train_dataset", "val_dataset"))
        opts = [] if given is None else [f"model.pretrained={given}"]
        teacher = Config(
            trainings.plan.teacher, opts=opts, sections=("model",), required=("model",), as_teacher=True
        )
        if given is None:
            teacher.drop_pretrained()
        level = logger.level
        logger.setLevel(logging.ERROR)  # the training's own log will say it all
        try:
            build_step(SegBuilder(student), [teacher], settings)
        finally:
            logger.setLevel(level)
