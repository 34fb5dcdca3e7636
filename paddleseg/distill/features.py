"""The features to distil, with their losses and schedules, as a config or distill_config.py declares them."""

from dataclasses import dataclass, field
from typing import Callable, Optional, Union

from paddleseg.cvlibs.rules import PLACES
from paddleseg.distill.taps import Tap


@dataclass(frozen=True)
class Schedule:
    """How the weight of a loss changes over the iterations, counted from 1.

    Args:
        start_iter: up to this iteration the loss is not computed. Default 0.
        warmup_iters: over this many iterations after `start_iter` the weight rises linearly; the last of
            them has the full weight. Default 0: full weight at once.
        end_iter: after this iteration the weight is multiplied by `end_factor`; None for never.
        end_factor: 0 or above. Default 0: the loss is no longer computed.
    """

    start_iter: int = 0
    warmup_iters: int = 0
    end_iter: Optional[int] = None
    end_factor: float = 0.0

    def factor(self, iteration):
        """Return the factor of the weight in an iteration; 0.0 where the loss is not computed."""
        if iteration <= self.start_iter:
            return 0.0
        factor = min(1.0, (iteration - self.start_iter) / max(self.warmup_iters, 1))
        ended = self.end_iter is not None and iteration > self.end_iter
        return factor * self.end_factor if ended else factor

    @property
    def always_on(self):
        """Whether the loss is computed in every iteration."""
        return self.start_iter == 0 and (self.end_iter is None or self.end_factor > 0)


@dataclass(frozen=True)
class Feature:
    """A loss between a tensor of the student and a tensor of a teacher.

    Args:
        student, teacher: the two tensors, as keys of what `Taps.read` returns: a `Tap` of a config, or a
            name that an adaptor gives.
        loss: `{type: ..., key: value}`.
        place: `place(*keys)` returns where this feature, or a key of it, is written, for messages.
        weight: the loss is multiplied by it; "auto" to measure it, see `AutoWeights`. Default 1.
        share: for a weight of "auto", the share of the task's gradient. Default 1.
        connector: "none", "auto" or `{type: ..., key: value}`. Default "none".
        schedule: a `Schedule`. Default: full weight in every iteration.
        teacher_index: the number of the teacher, from 0. Default 0.
        states_grid: whether the feature itself, and not one of its taps, states how tokens become maps.
            Default False.
    """

    student: Union[str, Tap]
    teacher: Union[str, Tap]
    loss: dict
    place: Callable
    weight: Union[float, str] = 1.0
    share: float = 1.0
    connector: Union[str, dict] = "none"
    schedule: Schedule = field(default_factory=Schedule)
    teacher_index: int = 0
    states_grid: bool = False

    @property
    def name(self):
        """The name of the loss in the log, such as "hidden_0_SegChannelwiseLoss"."""
        return f"{self.student if self.uses_adaptor else self.student.label}_{self.loss['type']}"

    @property
    def uses_adaptor(self):
        """Whether an adaptor of a `distill_config.py` names its tensors, and not the config."""
        return isinstance(self.student, str)


def features_of_config(cfg):
    """Return the `Feature`s of a checked config's `distill.features`."""
    return [_feature(spec, cfg, i) for i, spec in enumerate(cfg.feature_specs)]


def _feature(spec, cfg, i):
    connector = spec.get("connector", "auto")

    def place(*keys):
        return cfg.place("distill", "features", i, *keys)

    return Feature(
        student=_tap(spec, "student", place),
        teacher=_tap(spec, "teacher" if spec.get("teacher") else "student", place),
        loss=spec["loss"],
        place=place,
        weight=spec.get("weight", 1),
        share=spec.get("share", 1),
        connector="none" if connector is None else connector,
        schedule=Schedule(**(spec.get("schedule") or {})),
        teacher_index=spec.get("teacher_index", 0),
        states_grid=any(spec.get(key) for key in ("grid", "skip")),
    )


def _tap(spec, role, place):
    """Return the tap of a role; what it does not state of `grid` and `skip` the feature may state."""
    own = {"output_of": spec[role]} if isinstance(spec[role], str) else spec[role]
    kind = next(key for key in PLACES if key in own)
    grid, skip = (own.get(key) or spec.get(key) for key in ("grid", "skip"))
    stated = next((key for key in ("grid", "skip") if own.get(key) or spec.get(key)), None)
    path = () if stated is None else (role, stated) if own.get(stated) else (stated,)
    return Tap(
        kind,
        own[kind],
        own.get("index"),
        grid=tuple(grid) if isinstance(grid, list) else grid,
        skip=skip or 0,
        grid_place=place(*path) if path else "",
        own_grid=len(path) == 2,
    )


def declared_taps(features, role, teacher_index=0):
    """Return pairs (`Tap`, where it is written) of the features of the "student", or of one "teacher"."""
    return [
        (getattr(feature, role), feature.place(role))
        for feature in features
        if not feature.uses_adaptor and (role == "student" or feature.teacher_index == teacher_index)
    ]
