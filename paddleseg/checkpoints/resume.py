"""Where a training goes on from, and whether it is still the same training."""

import hashlib
import json
import os
import re

import paddle

from paddleseg import parallel
from paddleseg.checkpoints.checkpoint import bring_best, mend, newest, numbered, read_state
from paddleseg.cvlibs.class_names import NAMING
from paddleseg.errors import UserError
from paddleseg.utils.logger import logger

AUTO = "auto"
# Sections of a config that say nothing of what comes out.
_WITHOUT_EFFECT = ("imports", "export")
# Weights, whose place a checkpoint has taken.
_PRETRAINED = re.compile(r"model\..*pretrained$")
_CLASS_NAMES = re.compile(r"(\w+_dataset)\.class_names\b")


def outcome(cfg, options, also=None, unread=()):
    """Return {dotted key: value} of everything that decides what a training comes to.

    The paths of pretrained weights do not: a checkpoint has taken their place.

    Args:
        cfg: the `Config`.
        options: `TrainOptions`.
        also: more such keys, of a teacher for instance.
        unread: sections of the config that this kind of training does not read.
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
    if options.precision != "fp32":
        flags.update({"--precision": options.precision, "--amp_level": options.amp_level})
    if options.early_stop_intervals is not None:
        # How often it is evaluated decides when it stops, otherwise only which weights are looked at.
        flags.update({"--save_interval": options.save_interval, "--no_eval": options.no_eval})
    return {**flat, **flags, **(also or {})}


def _with_effect(flat, unread):
    """Return those of some {dotted key: value} that decide something."""
    idle = (*_WITHOUT_EFFECT, *unread)
    return {
        key: value
        for key, value in flat.items()
        if key.split(".")[0] not in idle and not _PRETRAINED.match(key) and not _is_a_name(key, flat)
    }


def _is_a_name(key, flat):
    """Return whether a key says no more than what a class is called."""
    found = _CLASS_NAMES.match(key)
    return found is not None and flat.get(f"{found[1]}.type") == NAMING


def flattened(value, prefix=""):
    """Return nested dicts and lists as {dotted key: text}; texts, since JSON gives back no tuples."""
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


def listed_files(**datasets):
    """Return {what: number and digest} of the lists of files of data sets that have one, for `outcome`."""
    lists = {name: getattr(dataset, "file_list", None) for name, dataset in datasets.items()}
    return {
        f"{name}: its list of files": f"{len(files)}, SHA-256 {_list_digest(files)[:16]}"
        for name, files in lists.items()
        if files is not None
    }


def _list_digest(files):
    return hashlib.sha256(json.dumps(files, default=str).encode()).hexdigest()


def find_checkpoint(options, now, unread=()):
    """Return the checkpoint that the flags mean and its state, or (None, {}) for a beginning.

    Args:
        options: `TrainOptions`.
        now: the `outcome` of this run.
        unread: as in `outcome`; an older checkpoint may tell of such sections.

    Raises:
        UserError: it is no checkpoint, damaged, or one of another training.
    """
    if not options.resume_model:
        earlier = numbered(options.save_dir)
        if earlier and parallel.rank() == 0:
            logger.warning(
                f"{options.save_dir} holds checkpoints of an earlier run, up to iter_{earlier[-1]}, and this "
                f"is a new one; --resume_model auto would have gone on from them. A --save_dir of its own "
                f"keeps each run apart"
            )
        return None, {}
    folder = _meant(options)
    if folder is None:
        logger.info(f"--resume_model auto: no checkpoint in {options.save_dir}, so this is the beginning")
        return None, {}
    state = read_state(folder)
    _check_same(folder, _with_effect(state.get("outcome", {}), unread), now, options.resume_anyway)
    if not _same_place(os.path.dirname(os.path.abspath(folder)), options.save_dir):
        state.pop("curves", None)
    _forget_lost_best(folder, options.save_dir, state)
    if state.get("paddle") != paddle.__version__:
        logger.warning(
            f"{folder} was written under Paddle {state.get('paddle')}, this is {paddle.__version__}: weights "
            f"may come out otherwise in their last digits"
        )
    logger.info(f"going on from {folder}, iteration {state['iter']}")
    return folder, state


def recorded(options):
    """Return the `outcome` of the checkpoint that the flags mean; {} for a beginning.

    For what is chosen once, at the beginning, and kept: whatever is asked for anew is compared with it later.

    Args:
        options: `TrainOptions`.
    """
    folder = _meant(options, warn=False) if options.resume_model else None
    return {} if folder is None else read_state(folder).get("outcome", {})


def _meant(options, warn=True):
    mend(options.save_dir)
    return newest(options.save_dir, warn) if options.resume_model == AUTO else options.resume_model


def _forget_lost_best(folder, save_dir, state):
    """Drop the best scores whose weights cannot be had, since nothing worse would replace them."""
    best = state.get("best") or {}
    meant = {key: best[key] for key in ("model", "ema") if best.get(key, {}).get("best_iter")}
    there = bring_best(folder, save_dir, meant) if meant else set()
    for key, lost in meant.items():
        if key in there:
            continue
        what = "weights" if key == "model" else "averaged weights"
        logger.warning(
            f"the {what} of iteration {lost['best_iter']} are gone; the best score is looked for anew"
        )
        del best[key]
        if key == "model":
            best.pop("without_better", None)  # compared with a score that no longer counts


def _same_place(one, other):
    return os.path.isdir(other) and os.path.samefile(one, other)


def _check_same(folder, then, now, anyway):
    changed = [
        f"{key}: {then.get(key, 'not said')} then, {now.get(key, 'not said')} now"
        for key in [*then, *(key for key in now if key not in then)]
        if then.get(key, None) != now.get(key, None)
    ]
    if not changed:
        return
    told = "; ".join(changed)
    if not anyway:
        raise UserError(
            f"--resume_model {folder}: what decides the outcome has changed: {told}; set it back, or insist "
            f"with --resume_anyway"
        )
    logger.warning(f"resumed although what decides the outcome has changed: {told}")
