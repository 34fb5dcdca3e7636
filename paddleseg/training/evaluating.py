"""The evaluations of a training, and of a trained model: scores and their log lines."""

import functools

from paddleseg import parallel
from paddleseg.cvlibs.class_names import class_names, labelled
from paddleseg.datasets.dataset import MOST_NAMED, ignored_label
from paddleseg.errors import UserError
from paddleseg.evaluation.evaluator import evaluate as evaluate_model
from paddleseg.monitoring.terminal import bar_wanted
from paddleseg.utils.logger import logger


def evaluation(builder, options):
    """Return `evaluate(on_batch=...) -> Scores` of the model being trained; None to evaluate nothing."""
    if options.no_eval or builder.val_dataset is None:
        return None
    number_of_classes(builder)  # what is stated nowhere is refused before the training
    return functools.partial(evaluate_and_log, builder, options, named=set())


def number_of_classes(builder):
    """Return the number of classes to evaluate, which the data set states or else the config.

    Raises:
        UserError: neither states it.
    """
    of_dataset = getattr(builder.val_dataset, "num_classes", None)
    number = builder.cfg.num_classes if of_dataset is None else of_dataset
    if number is None:
        raise UserError(
            f"{builder.cfg.path}: val_dataset: the number of classes is stated nowhere; add num_classes at "
            f"the top of the config or to the data set, or train with no_eval"
        )
    return number


def scores_of(builder, options, on_batch=None):
    """Return the `Scores` of the builder's model on its val_dataset; the arguments are as below."""
    config = builder.eval_config
    return evaluate_model(
        builder.model,
        builder.val_dataset,
        number_of_classes(builder),
        num_workers=options.num_workers,
        config=config,
        on_batch=on_batch,
        with_bar=bar_wanted(options.log_style),
    )


def evaluate_and_log(builder, options, on_batch=None, named=None):
    """Return the `Scores` of the builder's model on its val_dataset, and log them.

    Args:
        builder: the `SegBuilder` of the run.
        options: `TrainOptions` or `EvaluateOptions`.
        on_batch: as in `evaluator.evaluate`. Default None.
        named: a set of classes without truth that the log has named already; it is completed in place.
            Default: none.
    """
    dataset, num_classes = builder.val_dataset, number_of_classes(builder)
    result = scores_of(builder, options, on_batch)
    for line in result.log_lines(len(dataset)):
        logger.info(line)
    by_name = [f"{name} {iou:.4f}" for name, iou in zip(class_names(dataset), result.class_iou)]
    if by_name:
        logger.info(f"[EVAL] IoU by name: {', '.join(by_name)}")
    _warn_of_absent(dataset, num_classes, result.absent, set() if named is None else named)
    return result


def _warn_of_absent(dataset, num_classes, absent, named):
    """Name the classes that no pixel of the truth has, and add them to the set `named`."""
    ignored = ignored_label(dataset)
    absent = [number for number in absent if number not in named]
    named.update(absent)
    if ignored in absent:
        absent.remove(ignored)
        if parallel.rank() == 0:
            label = labelled(class_names(dataset), num_classes)[ignored]
            logger.warning(f"[EVAL] val_dataset ignores class {label}: an IoU of 0 in the mIoU")
    if absent and parallel.rank() == 0:
        labels = labelled(class_names(dataset), num_classes)
        more = f" and {len(absent) - MOST_NAMED} more" if len(absent) > MOST_NAMED else ""
        logger.warning(
            f"[EVAL] val_dataset has no pixel of {'class' if len(absent) == 1 else 'classes'} "
            f"{', '.join(labels[number] for number in absent[:MOST_NAMED])}{more}: an IoU of 0 in the mIoU"
        )
