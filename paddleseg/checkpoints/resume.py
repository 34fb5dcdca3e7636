"""Which checkpoint a training continues, and whether its settings are still the same."""

import hashlib
import json
import os
import re

import paddle

from paddleseg import onednn, parallel
from paddleseg.checkpoints.checkpoint import bring_best, mend, newest, numbered, read_state
from paddleseg.cvlibs.class_names import NAMING
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger

AUTO = "auto"
# Sections of a config that do not change the trained weights.
_WITHOUT_EFFECT = ("imports", "paddleseg_path", "export")
# Paths of the first weights; a checkpoint replaces those weights.
_PRETRAINED = re.compile(r"model\..*pretrained$")
_CLASS_NAMES = re.compile(r"(\w+_dataset)\.class_names\b")


def result_settings(cfg, options, also=None, unread=()):
    """Return {dotted key: value} of all settings that change the result of a training.

    Paths of pretrained weights are left out: the weights of a checkpoint replace them. The default precision
    is left out, too, so that checkpoints from before that option can be continued.

    Args:
        cfg: the `Config`.
        options: `TrainOptions`.
        also: more such settings, {key: value}, such as a teacher's; None for none. Default None.
        unread: sections of the config that this kind of training does not read. Default ().
    """
    flat = _with_effect(flattened(cfg.dic), unread)
    flags = {
        "--seed": options.seed,
        "--cache_views": options.cache_views,
        "--accumulate_steps": options.accumulate_steps,
        "--use_ema": options.use_ema,
        "--early_stop_intervals": options.early_stop_intervals,
        "processes": parallel.num_ranks(),
    }
    if onednn.engine() != "paddle":
        flags["conv_engine"] = onednn.engine()
    if options.precision != "fp32":
        flags.update({"--precision": options.precision, "--amp_level": options.amp_level})
    if options.early_stop_intervals is not None:
        # With early stopping, the number of evaluations decides when the training ends.
        flags.update({"--save_interval": options.save_interval, "--no_eval": options.no_eval})
    return {**flat, **flags, **(also or {})}


def _with_effect(flat, unread):
    """Return the {dotted key: value} pairs that change the result."""
    idle = (*_WITHOUT_EFFECT, *unread)
    return {
        key: value
        for key, value in flat.items()
        if key.split(".")[0] not in idle and not _PRETRAINED.match(key) and not _only_names_a_class(key, flat)
    }


def _only_names_a_class(key, flat):
    """Return whether a key is in the `class_names` of a `Dataset`, which change nothing but the log."""
    found = _CLASS_NAMES.match(key)
    return found is not None and flat.get(f"{found[1]}.type") == NAMING


def flattened(value, prefix=""):
    """Return nested dicts and lists as {dotted key: value}; values that JSON cannot hold become text."""
    if isinstance(value, (dict, list, tuple)) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        inner = [flattened(item, f"{prefix}.{key}" if prefix else str(key)) for key, item in items]
        return {key: text for part in inner for key, text in part.items()}
    return {prefix: value if isinstance(value, (bool, int, float, str, type(None))) else repr(value)}


def digest(layer):
    """Return the SHA-256 of a layer's weights."""
    sha = hashlib.sha256()
    for key, value in sorted(layer.state_dict().items()):
        sha.update(key.encode())
        sha.update(value.numpy().tobytes())
    return sha.hexdigest()


def file_list_digests(**datasets):
    """Return {"NAME: its list of files": "count, digest"} of the data sets that have a `file_list`."""
    lists = {name: getattr(dataset, "file_list", None) for name, dataset in datasets.items()}
    return {
        f"{name}: its list of files": f"{len(files)}, SHA-256 {_list_digest(files)[:16]}"
        for name, files in lists.items()
        if files is not None
    }


def _list_digest(files):
    return hashlib.sha256(json.dumps(files, default=str).encode()).hexdigest()


def find_checkpoint(options, now, unread=()):
    """Return (folder, state) of the checkpoint to continue from, or (None, {}) at the beginning.

    Args:
        options: `TrainOptions`.
        now: the `result_settings` of this run.
        unread: as in `result_settings`; an older checkpoint may hold such sections. Default ().

    Raises:
        UserError: the folder is no checkpoint, is damaged, or belongs to a training with other settings.
    """
    if not options.resume_model:
        earlier = numbered(options.save_dir)
        if earlier and parallel.rank() == 0:
            logger.warning(
                f"{options.save_dir} holds checkpoints of an earlier run, up to iter_{earlier[-1]}, and this "
                f"is a new one; resume_model auto would have continued from them. Give each run a save_dir "
                f"of its own"
            )
        return None, {}
    folder = _mend_and_choose_folder(options)
    if folder is None:
        logger.info(f"resume_model auto: there is no checkpoint in {options.save_dir}, so training begins")
        return None, {}
    state = read_state(folder)
    _check_same(folder, _with_effect(state.get("outcome", {}), unread), now, options.resume_anyway)
    if not _same_place(os.path.dirname(os.path.abspath(folder)), options.save_dir):
        state.pop("curves", None)  # another folder has no curves to continue
    _bring_best_or_forget(folder, options.save_dir, state)
    if state.get("paddle") != paddle.__version__:
        logger.warning(
            f"{folder} was written under Paddle {state.get('paddle')}, and this is {paddle.__version__}: the "
            f"last digits of the weights may differ"
        )
    logger.info(f"continuing from {folder}, iteration {state['iter']}")
    return folder, state


def recorded_settings(options):
    """Return the `result_settings` of the checkpoint that the flags mean; {} for a beginning.

    A caller reads here a setting that a run chooses once and then keeps.

    Args:
        options: `TrainOptions`.
    """
    folder = _mend_and_choose_folder(options, warn=False) if options.resume_model else None
    return {} if folder is None else read_state(folder).get("outcome", {})


def _mend_and_choose_folder(options, warn=True):
    mend(options.save_dir)
    return newest(options.save_dir, warn) if options.resume_model == AUTO else options.resume_model


def _bring_best_or_forget(folder, save_dir, state):
    """Copy the best weights to `save_dir`; drop the best scores whose weights are gone.

    Weights that are worse than a score without weights would never be saved.
    """
    best = state.get("best") or {}
    scored = {key: best[key] for key in ("model", "ema") if best.get(key, {}).get("best_iter")}
    available = bring_best(folder, save_dir, scored) if scored else set()
    for key, lost in scored.items():
        if key in available:
            continue
        what = "weights" if key == "model" else "averaged weights"
        logger.warning(
            f"the best {what}, of iteration {lost['best_iter']}, are gone; the best score is forgotten"
        )
        del best[key]
        if key == "model":
            best.pop("without_better", None)  # counted against the score that is forgotten


def _same_place(one, other):
    return os.path.isdir(other) and os.path.samefile(one, other)


def _check_same(folder, then, now, anyway):
    changed = [
        f"{key}: {then.get(key, 'not set')} then, {now.get(key, 'not set')} now"
        for key in [*then, *(key for key in now if key not in then)]
        if then.get(key, None) != now.get(key, None)
    ]
    if not changed:
        return
    changes = "; ".join(changed)
    if not anyway:
        raise UserError(
            f"resume_model {folder}: settings that change the result differ: {changes}; set them back, or "
            f"insist with resume_anyway"
        )
    logger.warning(f"resumed although settings that change the result differ: {changes}")
