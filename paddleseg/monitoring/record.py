"""What is known of a run, to everything that shows or keeps it."""

import contextlib

from paddleseg import parallel
from paddleseg.cvlibs.class_names import class_names
from paddleseg.monitoring.board import Board
from paddleseg.monitoring.history import History
from paddleseg.monitoring.terminal import Bar, Lines, bar_wanted
from paddleseg.monitoring.validation_pictures import ValidationPictures
from paddleseg.utils.logger import logger

_DATA = ("train_dataset", "unlabeled_dataset", "val_dataset", "test_config.")


class Record:
    """Hands on each figure of a run as it becomes known.

    Args:
        terminal: `Lines` or a `Bar`.
        history: a `History`.
        board: a `Board`.
        pictures: `pictures() -> {name: picture}` of the model as it is; None for none.
    """

    def __init__(self, terminal, history, board, pictures=None):
        self._terminal = terminal
        self._board = board
        self._pictures = pictures
        self._all = (terminal, history, board)
        self._open = contextlib.ExitStack()

    def __enter__(self):
        self._open.enter_context(self._board)
        self._open.enter_context(self._terminal)
        return self

    def __exit__(self, *error):
        self._open.__exit__(*error)

    def advance(self):
        """An iteration is done."""
        self._terminal.advance()

    def add_training(self, figures):
        """Take a `Progress.summary`."""
        for each in self._all:
            each.add_training(figures)

    def add_evaluation(self, scores, iteration, ema=False):
        """Take the `Scores` of an evaluation, of the weights' moving average if `ema`."""
        for each in self._all:
            each.add_evaluation(scores, iteration, ema)

    def draw_pictures(self):
        """Return {name: picture} of the model as it is now."""
        return {} if self._pictures is None else self._pictures()

    def add_pictures(self, pictures, iteration):
        """Take what `draw_pictures` has returned."""
        self._board.add_pictures(pictures, iteration)

    def position(self):
        """Return where the curves stand, for JSON."""
        return self._board.position()


def open_record(step, builder, options, progress, state, result_settings, evaluated):
    """Return the `Record` of a run: its terminal, and of rank 0 the files in its folder.

    Args:
        step: the `Step`; its teachers are drawn beside the model.
        builder: the `SegBuilder` of the run.
        options: `TrainOptions`.
        progress: the `Progress`.
        state: of the checkpoint that the run continues, {} at the beginning.
        result_settings: the `resume.outcome` of the run, from which the hyperparameters are taken.
        evaluated: whether there are evaluations.
    """
    start_iter = state.get("iter", 0)
    if bar_wanted(options.log_style):
        best = (state.get("best") or {}).get("model", {})
        terminal = Bar(builder.cfg.iters, start_iter, best.get("best_miou"))
    else:
        terminal = Lines(progress.line)
    first = parallel.rank() == 0
    if first and options.log_style == "bar" and not bar_wanted("bar"):
        logger.warning("log_style bar: stderr is no terminal of some width, so there are log lines instead")
    history = History(options.save_dir if first else None, start_iter)
    if not (first and options.use_vdl):
        return Record(terminal, history, Board())
    metrics = ["Evaluate/mIoU", "Evaluate/Acc", "Evaluate/Kappa", "Train/loss"][0 if evaluated else 3 :]
    names = class_names(builder.val_dataset)
    board = Board(options.save_dir, state.get("curves"), _hyperparameters(result_settings), metrics, names)
    pictures = None
    if evaluated and options.vdl_images:
        pictures = ValidationPictures(
            builder.val_dataset, builder.model, _teachers(step), options.vdl_images, builder.eval_config
        )
    return Record(terminal, history, board, pictures)


def _hyperparameters(result_settings):
    """Return those of what decides the outcome that are worth a column: no data, no checksums, no layers."""
    kept = {}
    for key, value in result_settings.items():
        of_model = key.startswith("model.") or ": model." in key
        if not (key.startswith(_DATA) or "SHA-256" in key or (of_model and not key.endswith(".type"))):
            kept[key] = value
    return kept


def _teachers(step):
    """Return {name: model} of a step's teachers, if it has any."""
    teachers = step.teachers
    names = ["teacher"] if len(teachers) == 1 else [f"teacher {k}" for k in range(len(teachers))]
    named = zip(names, (teacher.model for teacher in teachers))
    # Validation images may be of any size.
    return {name: model for name, model in named if getattr(model, "of_any_size", True)}
