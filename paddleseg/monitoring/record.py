"""Hands the figures of a run to the terminal, the history and VisualDL."""

import contextlib

from paddleseg import parallel
from paddleseg.cvlibs.class_names import class_names
from paddleseg.errors import one_line
from paddleseg.monitoring.board import Board
from paddleseg.monitoring.history import History
from paddleseg.monitoring.terminal import Bar, bar_wanted
from paddleseg.monitoring.validation_pictures import ValidationPictures
from paddleseg.utils.logger import logger

_DATA = ("train_dataset", "unlabeled_dataset", "val_dataset", "test_config.")


class Record(contextlib.ExitStack):
    """Hands on each figure of a run as it becomes known.

    An error of a receiver costs that figure there, with a warning, and never the training.

    Args:
        progress: the `Progress`, which writes the log lines.
        bar: a `Bar`, instead of log lines. Default None.
        history: a `History`. Default None.
        board: a `Board`. Default None.
        pictures: a function that returns {name: picture} of the model as it is, for the board. Default None.
    """

    def __init__(self, progress, bar=None, history=None, board=None, pictures=None):
        super().__init__()
        self._progress = progress
        self._bar = bar
        self._board = board
        self._pictures = pictures
        self._receivers = [receiver for receiver in (bar, history, board) if receiver is not None]

    def __enter__(self):
        for shown in filter(None, (self._board, self._bar)):
            self.enter_context(shown)
        return self

    def advance(self):
        """Count an iteration as done."""
        if self._bar is not None:
            self._hand(self._bar.advance)

    def add_training(self, figures):
        """Hand on a `Progress.summary`."""
        if self._bar is None:
            logger.info(self._progress.line(figures))
        for receiver in self._receivers:
            self._hand(receiver.add_training, figures)

    def add_evaluation(self, scores, iteration, ema=False):
        """Hand on the `Scores` of an evaluation, of the weights' moving average if `ema`."""
        for receiver in self._receivers:
            self._hand(receiver.add_evaluation, scores, iteration, ema)

    def draw_pictures(self):
        """Return {name: picture} of the model as it is now."""
        return (self._hand(self._pictures) if self._pictures is not None else None) or {}

    def add_pictures(self, pictures, iteration):
        """Hand on what `draw_pictures` has returned."""
        if self._board is not None:
            self._hand(self._board.add_pictures, pictures, iteration)

    def position(self):
        """Return how far the curves are, for JSON; None without curves."""
        return None if self._board is None else self._hand(self._board.position)

    @staticmethod
    def _hand(method, *figures):
        """Call a method; warn of an error and return None."""
        try:
            return method(*figures)
        except Exception as error:
            owner = type(getattr(method, "__self__", method)).__name__
            logger.warning(f"{owner}: {one_line(error)}; the training continues without this figure")
            return None


def open_record(step, builder, options, progress, state, result_settings, evaluated):
    """Return the `Record` of a run: its log lines or bar and, on rank 0, the files in its folder.

    Args:
        step: the `Step`; its teachers are drawn beside the model.
        builder: the `SegBuilder` of the run.
        options: `TrainOptions`.
        progress: the `Progress`.
        state: of the checkpoint that the run continues, {} at the beginning.
        result_settings: the `resume.result_settings` of the run, from which the hyperparameters are taken.
        evaluated: whether there are evaluations.
    """
    start_iter = state.get("iter", 0)
    best = (state.get("best") or {}).get("model", {})
    bar = None
    if bar_wanted(options.log_style):
        bar = Bar(builder.cfg.iters, start_iter, best.get("best_miou"))
    if parallel.rank() != 0:
        return Record(progress)
    if options.log_style == "bar" and bar is None:
        logger.warning("log_style bar: stderr is no terminal of some width, so there are log lines instead")
    history = History(options.save_dir, start_iter)
    if not options.use_vdl:
        return Record(progress, bar, history)
    metrics = ["Evaluate/mIoU", "Evaluate/Acc", "Evaluate/Kappa"] if evaluated else []
    metrics, hparams = [*metrics, "Train/loss"], _hyperparameters(result_settings)
    names = class_names(builder.val_dataset)
    board = Board(options.save_dir, state.get("curves"), hparams, metrics, names)
    pictures = None
    if evaluated and options.vdl_images:
        pictures = ValidationPictures(
            builder.val_dataset, builder.model, drawn_teachers(step), options.vdl_images, builder.eval_config
        )
    return Record(progress, bar, history, board, pictures)


def _hyperparameters(result_settings):
    """Return the settings that deserve a column: not data, checksums or the keys of a model but its type."""

    def shown(key):
        if key.startswith("model.") or ": model." in key:
            return key.endswith(".type")
        return not (key.startswith(_DATA) or "SHA-256" in key)

    return {key: value for key, value in result_settings.items() if shown(key)}


def drawn_teachers(step):
    """Return {name: model} of the teachers of a step that can be drawn."""
    teachers = step.teachers
    names = ["teacher"] if len(teachers) == 1 else [f"teacher {k}" for k in range(len(teachers))]
    models = [teacher.model for teacher in teachers]
    # Validation images may be of any size, and a teacher of features alone predicts nothing.
    needed = ("of_any_size", "gives_logits")
    return {n: model for n, model in zip(names, models) if all(getattr(model, a, True) for a in needed)}
