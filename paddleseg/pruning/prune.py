"""Prune a trained student by PaddleSlim, and train what remains, under its teacher or by its labels."""

import contextlib
import dataclasses
import os
import shutil

import paddle

from paddleseg import parallel
from paddleseg.checkpoints.resume import AUTO
from paddleseg.core import runs
from paddleseg.cvlibs import Config, SegBuilder, pruned_channels
from paddleseg.cvlibs.config import as_yaml
from paddleseg.cvlibs.fill_in import PRUNED_CHANNELS
from paddleseg.cvlibs.yaml_file import load_config
from paddleseg.datasets.file_lists import check_file_lists
from paddleseg.datasets.sampling import SeededSamples
from paddleseg.distill import build
from paddleseg.errors import UserError, one_line
from paddleseg.evaluation import cost
from paddleseg.options import PruneOptions
from paddleseg.pruning.filters import BACKUP, Filters, check_installed
from paddleseg.pruning.result import RESULT_FILE, Figures, Result, read_result
from paddleseg.pruning.shares import chosen_shares, sensitivities
from paddleseg.training import evaluating
from paddleseg.utils.logger import logger
from paddleseg.utils.save_dir import make_save_dir
from paddleseg.weights.load import load_weights

CONFIG, WEIGHTS = "pruned.yml", "pruned.pdparams"
FILES = (CONFIG, WEIGHTS, RESULT_FILE)


def prune(cfg, teacher_cfgs=(), options=None, retrain=True):
    """Prune a student, write it to `options.save_dir`, and train it further.

    `pruned.yml` is the config of the pruned model, `pruned.pdparams` its weights before the retraining, and
    `pruning.json` the figures. The retraining is that of `core.runs`, with the config of the pruned model.

    Args:
        cfg: the `Config` of the student and of the retraining.
        teacher_cfgs: a `Config` of each teacher, made with `as_teacher=True`; none trains by labels alone.
        options: `PruneOptions`. Default: all defaults.
        retrain: whether the pruned model is trained further. Default True.

    Returns:
        What `runs.train` returns for the pruned student; {} without a retraining.

    Raises:
        UserError: PaddleSlim cannot run on this Paddle or cannot prune the model; the student has no weights;
            an option is for teachers, and there is none; or what `runs.distill` raises.
    """
    options = options or PruneOptions()
    check_installed()
    if not teacher_cfgs:
        options.refuse_teachers()
    build.check_teacher_weights(teacher_cfgs, options)
    make_save_dir(options.save_dir)
    parallel.set_device(options.device, options.conv_engine)
    earlier = _earlier_folder(options)
    if earlier is None:
        pruned, result = _Pruning(cfg, options).run()
    else:
        pruned, result = _read(cfg, options, earlier)
    if not retrain:
        return {}
    weights = os.path.join(options.save_dir, WEIGHTS)

    def prepare(builder):
        builder.trained_model(weights, "retrain")

    best = runs.fine_tune(pruned, teacher_cfgs, options, prepare)
    if options.trains and parallel.rank() == 0:
        figures = dataclasses.replace(result.pruned, miou=best.get("best_miou"))
        result = dataclasses.replace(result, retrained=figures)
        result.write(options.save_dir)
        for line in result.table():
            logger.info(line)
    return best


class _Pruning:
    """The pruning of one student.

    Args:
        cfg, options: as `prune` takes them.
    """

    def __init__(self, cfg, options):
        self._cfg, self._options = cfg, options
        self._builder = SegBuilder(cfg)

    def run(self):
        """Return the `Config` of the pruned model and the `Result`, both written to the folder of the run."""
        options, builder = self._options, self._builder
        if builder.val_dataset is not None:
            check_file_lists(None, builder.val_dataset)
        elif options.sensitivity:
            raise UserError(f"{self._cfg.path}: sensitivity needs the validation images of a val_dataset")
        parallel.seed_everything(options.seed)
        model, shape = builder.trained_model(options.model_path, "prune"), self._input_shape()
        filters = Filters(model, shape, options.criterion, options.align)
        before = self._figures(builder, shape, "before the pruning")
        losses = sensitivities(filters, self._miou) if options.sensitivity else None
        shares = chosen_shares(filters, model, shape, options.pruning_ratio, losses)
        with filters.removed(shares):
            weights = {k: v.numpy() for k, v in model.state_dict().items() if not k.endswith(BACKUP)}
        shapes = {key: list(value.shape) for key, value in weights.items()}
        pruned = _pruned_config(self._cfg, pruned_channels.of_model(model, shapes))
        self._write(pruned, weights)
        result = Result(
            config=str(self._cfg.path),
            weights=options.model_path or self._cfg.pretrained,
            **_settings(options),
            input_shape=shape,
            before=before,
            pruned=self._figures(self._rebuilt(pruned, shape), shape, "after the pruning"),
        )
        if parallel.rank() == 0:
            result.write(options.save_dir)
        for line in result.table():
            logger.info(line)
        return pruned, result

    def _input_shape(self):
        if self._options.input_shape is not None:
            return list(self._options.input_shape)
        builder = self._builder
        dataset = builder.val_dataset
        if dataset is None:
            dataset = builder.train_dataset if self._cfg.has_labels else builder.unlabeled_dataset
        return [1, *SeededSamples(dataset, seed=0, labeled=False)[0, 0]["img"].shape]

    def _miou(self):
        return evaluating.scores_of(self._builder, self._options).miou

    def _figures(self, builder, shape, when):
        total = cost.measure(builder.model, shape, repeats=0)["total"]
        miou = None
        if builder.val_dataset is not None and not self._options.no_eval:
            logger.info(f"evaluating the model {when}")
            miou = evaluating.evaluate_and_log(builder, self._options).miou
        return Figures(total.parameters, total.flops, miou)

    def _write(self, pruned, weights):
        folder = self._options.save_dir
        if parallel.rank() == 0:
            path = os.path.join(folder, WEIGHTS)
            try:
                with contextlib.suppress(FileNotFoundError):  # it is written last, and says that all is there
                    os.remove(os.path.join(folder, RESULT_FILE))
                paddle.save({k: paddle.to_tensor(v) for k, v in weights.items()}, path)
                with open(os.path.join(folder, CONFIG), "w", encoding="utf-8") as file:
                    file.write(as_yaml(pruned.dic))
            except OSError as error:
                raise UserError(f"{folder}: the pruned model cannot be written: {error.strerror}") from None
        parallel.sum_over_ranks(paddle.zeros([1]))  # the other ranks wait for the files

    def _rebuilt(self, pruned, shape):
        """Return the `SegBuilder` of the pruned model with its weights; it runs in both modes."""
        builder = SegBuilder(pruned)
        images = paddle.randn([2, *shape[1:]])
        try:
            with paddle.no_grad():
                for mode in (builder.model.train, builder.model.eval):
                    mode()
                    builder.model(images)
        except Exception as error:
            reason = f"{type(error).__name__}: {one_line(error)[:300]}"
            name = self._cfg.model_type
            raise UserError(f"{name} does not run after PaddleSlim has pruned it ({reason})") from error
        load_weights(builder.model, os.path.join(self._options.save_dir, WEIGHTS))
        return builder


def _pruned_config(cfg, channels):
    """Return the `Config` of the pruned form of a model, without weights."""
    dic = Config(cfg.dic).drop_pretrained().dic
    # A student that was pruned before keeps what this pruning leaves alone.
    channels = {**(dic["model"].get(PRUNED_CHANNELS) or {}), **channels}
    pruned = Config({**dic, "model": {**dic["model"], PRUNED_CHANNELS: channels}})
    pruned.name_source(cfg.path)
    return pruned


def _settings(options):
    names = ("criterion", "pruning_ratio", "sensitivity", "align")
    return {name: getattr(options, name) for name in names}


def _earlier_folder(options):
    """Return the folder of the run that is continued; None if it has not been pruned yet.

    Raises:
        UserError: the folder that `resume_model` names is not that of a pruning.
    """
    if not options.resume_model:
        return None
    auto = options.resume_model == AUTO
    folder = options.save_dir if auto else os.path.dirname(os.path.abspath(options.resume_model))
    missing = [name for name in FILES if not os.path.isfile(os.path.join(folder, name))]
    if missing and not auto:
        raise UserError(
            f"resume_model {options.resume_model}: its folder has no {', '.join(missing)}, so it does not "
            f"continue a pruning; train a pruned student by train.py or distill_train.py"
        )
    return None if missing else folder


def _read(cfg, options, folder):
    """Return the `Config` of the model that an earlier run has pruned, and its `Result`; copy its files."""
    result = read_result(folder)
    weights = options.model_path or cfg.pretrained
    then = {**{k: getattr(result, k) for k in _settings(options)}, "model_path": result.weights}
    now = {**_settings(options), "model_path": weights}
    if options.input_shape is not None:
        then["input_shape"], now["input_shape"] = list(result.input_shape), list(options.input_shape)
    if then != now and not options.resume_anyway:
        changes = "; ".join(f"{k}: {then[k]} then, {now[k]} now" for k in then if then[k] != now[k])
        raise UserError(
            f"resume_model {options.resume_model}: the model was pruned otherwise: {changes}; set them back, "
            f"or prune anew in another save_dir"
        )
    dic, _ = load_config(os.path.join(folder, CONFIG))
    channels = (dic.get("model") or {}).get(PRUNED_CHANNELS)
    if not os.path.samefile(folder, options.save_dir) and parallel.rank() == 0:
        for name in FILES:
            shutil.copy(os.path.join(folder, name), options.save_dir)
    parallel.sum_over_ranks(paddle.zeros([1]))
    logger.info(f"the student was pruned already; {os.path.join(folder, CONFIG)} has its channels")
    return _pruned_config(cfg, channels), result
