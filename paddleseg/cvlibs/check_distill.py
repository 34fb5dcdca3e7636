"""Judges what a config says of distillation: its `distill` section and the share of unlabelled images."""

import typing

from paddleseg.cvlibs import manager
from paddleseg.cvlibs.feature_losses import FEATURE_LOSSES, misuse
from paddleseg.errors import suggestion
from paddleseg.utils import signature

# Sections that training without a teacher passes over.
DISTILLATION_SECTIONS = ("distill", "distill_loss", "unlabeled_dataset")
SUPPLIED_TO_LOSSES = ("num_classes", "student_channels", "teacher_channels")
SUPPLIED_TO_CONNECTORS = ("student_channels", "teacher_channels")
WEIGHTINGS = ("mean", "confidence")
KEYS = ("features", "teacher_weighting", "unlabeled_share")
NEEDED = ("student", "loss")
FEATURE_KEYS = (*NEEDED, "teacher", "weight", "connector", "schedule", "teacher_index")
PLACES = ("output_of", "input_of", "attr")
SCHEDULE = {"start_iter": int, "warmup_iters": int, "end_iter": typing.Optional[int], "end_factor": float}
DEFAULT_SHARE = 0.5
AT = ("full", "head")


def features_of(dic):
    """Return the list `distill.features` of a config, [] where there is none."""
    spec = dic.get("distill")
    features = spec.get("features") if isinstance(spec, dict) else None
    return features if isinstance(features, list) else []


def feature_loss_specs(dic):
    """Return [(key path, what stands there)] for the loss of every entry of `distill.features`."""
    return [
        (("distill", "features", i, "loss"), feature.get("loss"))
        for i, feature in enumerate(features_of(dic))
        if isinstance(feature, dict)
    ]


def num_unlabeled(dic):
    """Return how many images of a process's batch come from the `unlabeled_dataset` of a checked config.

    It is `distill.unlabeled_share` times `batch_size`, to the nearest whole number, halves upwards.
    """
    if not dic.get("unlabeled_dataset"):
        return 0
    share = (dic.get("distill") or {}).get("unlabeled_share", DEFAULT_SHARE)
    return int(share * dic["batch_size"] + 0.5)


def logits_at(dic):
    """Return where the `distill_loss` of a checked config compares logits, one of `AT`."""
    return (dic.get("distill_loss") or {}).get("at", AT[0])


class DistillChecker:
    """Finds what is wrong with a config's `distill` section.

    Args:
        dic: the config.
        add: `add(path, message)` notes a problem at a key path, a tuple.
        component: `component(spec, registry, path, supplied)` checks a `{type: ..., ...}`.
        supplied: which of `SUPPLIED_TO_LOSSES` the config says, so that a loss need not.
    """

    def __init__(self, dic, add, component, supplied):
        self.dic = dic
        self._add = add
        self._component = component
        self._supplied = supplied

    def check(self):
        """Check the section, if there is one, and that labels reach the losses that need them."""
        spec = self.dic.get("distill")
        if spec is not None and not isinstance(spec, dict):
            self._add(("distill",), f"must hold keys such as `features`, not {spec!r}")
            return
        spec = spec or {}
        self._keys(spec, KEYS, ("distill",))
        weighting = spec.get("teacher_weighting", "mean")
        if weighting not in WEIGHTINGS:
            self._add(("distill", "teacher_weighting"), f"must be mean or confidence, not {weighting!r}")
        features = spec.get("features")
        if features is not None and not isinstance(features, list):
            self._add(("distill", "features"), f"must be a list, not {features!r}")
        for i, feature in enumerate(features_of(self.dic)):
            self._feature(feature, ("distill", "features", i))
        if self._share(spec):
            self._labels(weighting)

    def _keys(self, spec, known, path):
        for key in spec:
            if key not in known:
                self._add((*path, key), f"unknown key {key!r}; {suggestion(key, known)}")

    def _feature(self, spec, path):
        if not isinstance(spec, dict):
            self._add(path, f"must hold `student`, `teacher` and `loss`, not {spec!r}")
            return
        self._keys(spec, FEATURE_KEYS, path)
        for key in NEEDED:
            if spec.get(key) is None:
                self._add(path, f"the key {key!r} is missing")
        for key in ("student", "teacher"):
            if spec.get(key) is not None:
                self._tap(spec[key], (*path, key))
        if spec.get("loss") is not None:
            self._loss(spec["loss"], (*path, "loss"))
        weight = spec.get("weight", 1)
        if not signature.is_weight(weight):
            self._add((*path, "weight"), f"must be a number of 0 or above, not {weight!r}")
        self._whole(spec.get("teacher_index", 0), int, (*path, "teacher_index"))
        self._connector(spec.get("connector"), (*path, "connector"))
        self._schedule(spec.get("schedule"), (*path, "schedule"))

    def _tap(self, spec, path):
        if isinstance(spec, str) and spec:
            return
        places = [key for key in PLACES if key in spec] if isinstance(spec, dict) else []
        if len(places) != 1:
            told = "must be a sublayer's dotted name, {attr: name}, {input_of: layer} or {output_of: layer}"
            self._add(path, f"{told}, not {spec!r}")
            return
        self._keys(spec, (*PLACES, "index"), path)
        if not isinstance(spec[places[0]], str) or not spec[places[0]]:
            self._add((*path, places[0]), f"must be a name, not {spec[places[0]]!r}")
        if not signature.fits(spec.get("index"), typing.Optional[int]):
            self._add((*path, "index"), f"must be a whole number, not {spec['index']!r}")

    def _measured(self, spec, path):
        """Note the channels that a component is told by the config instead of by the tapped tensors."""
        for key in SUPPLIED_TO_CONNECTORS:
            if isinstance(spec, dict) and key in spec:
                self._add((*path, key), "is taken from the tapped tensors, so it must not be said")

    def _loss(self, spec, path):
        self._component(spec, FEATURE_LOSSES, path, self._supplied)
        self._measured(spec, path)
        name = spec.get("type") if isinstance(spec, dict) else None
        told = misuse(spec) if isinstance(name, str) and name in FEATURE_LOSSES else None
        if told:
            self._add((*path, "type"), told)

    def _connector(self, spec, path):
        if spec in (None, "none", "auto"):
            return
        if not isinstance(spec, dict):
            self._add(path, f"must be none, auto, or a `type` and its keys, not {spec!r}")
            return
        self._component(spec, manager.CONNECTORS, path, SUPPLIED_TO_CONNECTORS)
        self._measured(spec, path)

    def _schedule(self, spec, path):
        if spec is None:
            return
        if not isinstance(spec, dict):
            self._add(path, f"must hold {', '.join(SCHEDULE)}, not {spec!r}")
            return
        self._keys(spec, SCHEDULE, path)
        counts = [key for key in SCHEDULE if key in spec and key != "end_factor"]
        sound = [self._whole(spec[key], SCHEDULE[key], (*path, key)) for key in counts]
        start, end, factor = spec.get("start_iter", 0), spec.get("end_iter"), spec.get("end_factor", 0)
        if all(sound) and end is not None and end <= start:
            self._add((*path, "end_iter"), f"must be above start_iter, {start}, not {end}")
        if not signature.fits(factor, float) or not 0 <= factor < float("inf"):
            self._add((*path, "end_factor"), f"must be a number of 0 or above, not {factor!r}")
        elif "end_factor" in spec and end is None:
            self._add((*path, "end_factor"), "there is no end_iter after which it would hold")

    def _whole(self, value, expected, path):
        fits = signature.fits(value, expected) and (value is None or value >= 0)
        if not fits:
            self._add(path, f"must be a whole number of 0 or above, not {value!r}")
        return fits

    def _share(self, spec):
        """Check the share of unlabelled images; tell whether it leaves no labelled one."""
        path = ("distill", "unlabeled_share")
        share = spec.get("unlabeled_share", DEFAULT_SHARE)
        if not signature.fits(share, float) or not 0 < share <= 1:
            self._add(path, f"must be a number above 0 and up to 1, not {share!r}")
            return False
        if not self.dic.get("unlabeled_dataset"):
            if "unlabeled_share" in spec:
                self._add(path, "there is no unlabeled_dataset to take a share of")
            return False
        batch_size = self.dic.get("batch_size")
        if not signature.fits(batch_size, int) or batch_size < 1:
            return False
        count = num_unlabeled(self.dic)
        if count == 0 or (count == batch_size and share < 1):
            self._add(
                path, f"{share} of batch_size {batch_size} is {count}; both kinds need one image at least"
            )
        return share == 1

    def _labels(self, weighting):
        """Note every loss that needs labels, of a config that has no labelled image in its batches."""
        told = "needs labels, and with unlabeled_share 1 none reach it"
        if weighting == "confidence":
            self._add(("distill", "teacher_weighting"), f"confidence {told}")
        section = self.dic.get("distill_loss")
        types = section.get("types") if isinstance(section, dict) else None
        types = types if isinstance(types, list) else []
        losses = [(("distill_loss", "types", i), item) for i, item in enumerate(types)]
        for path, spec in [*losses, *feature_loss_specs(self.dic)]:
            name = spec.get("type") if isinstance(spec, dict) else None
            known = isinstance(name, str) and name in manager.LOSSES
            if known and getattr(manager.LOSSES[name], "needs_label", False):
                self._add((*path, "type"), f"{name} {told}")
