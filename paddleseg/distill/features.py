"""The features to distil, with their losses and schedules, as Python, a config or a file declares them."""

from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Sequence, Union

import paddle.nn as nn

import paddleseg.distill.connectors
import paddleseg.losses  # noqa: F401  both register what a feature may name
from paddleseg.cvlibs import rules
from paddleseg.cvlibs.check import Checker
from paddleseg.cvlibs.facts import AUTO
from paddleseg.distill.taps import Tap
from paddleseg.errors import UserError
from paddleseg.losses.combine import loss_name

# The arguments of a schedule that are iterations; a config may give shares of the training instead.
ITERATIONS = ("start_iter", "warmup_iters", "end_iter")


class AdaptorName(str):
    """The name that an adaptor gives to a tensor, as distinct from the name of a sublayer."""


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

        Feature("backbone.stage4", "backbone.layer4", "SegChannelwiseLoss", weight=0.2)

    Args:
        student, teacher: where the two tensors are: the dotted name of a sublayer, for its output; a dict as
            in a config, `{"attr": name}`, `{"input_of": layer}` or `{"output_of": layer}`, perhaps with an
            "index"; a `Tap`; or an `AdaptorName`.
        loss: the name of a loss, `{"type": name, key: value}`, or the loss itself, called with the two
            tensors and, if it takes a third argument, the label.
        weight: the loss is multiplied by it; "auto" to measure it, see `AutoWeights`. Default 1.
        connector: "none"; "auto", a `ConvBNConnector` where the channels differ; `{"type": name, key:
            value}`; or a layer. Default "auto".
        schedule: a `Schedule`, or a dict of its arguments. Default: full weight in every iteration.
        teacher_index: the number of the teacher, from 0. Default 0.
        share: for a weight of "auto", the share of the task's gradient. Default 1.
        grid, skip: how tokens N x L x C of either tensor become maps, unless its tap states that: the grid
            (height, width) or "auto", and the number of prefix tokens that are dropped. Default none.
        place: `place(*keys)` returns where a file declares this feature, or a key of it, for messages.
            Default None, for a feature that a script makes: it is checked at once.

    Raises:
        UserError: an argument of a script has a wrong value.
    """

    student: Union[str, dict, Tap]
    teacher: Union[str, dict, Tap]
    loss: Any
    weight: Union[float, str] = 1.0
    connector: Any = "auto"
    schedule: Union[Schedule, dict] = field(default_factory=Schedule)
    teacher_index: int = 0
    share: float = 1.0
    grid: Union[str, Sequence, None] = None
    skip: int = 0
    place: Optional[Callable] = None

    def __post_init__(self):
        if isinstance(self.loss, str):
            self._set(loss={"type": self.loss})
        if self.place is None:
            self._set(place=self._own_place)
            self._check()
        schedule = self.schedule or {}
        shared = {"grid": self.grid, "skip": self.skip}
        self._set(
            student=_tap(self.student, shared, "student", self.place),
            teacher=_tap(self.teacher, shared, "teacher", self.place),
            connector="none" if self.connector is None else self.connector,
            schedule=Schedule(**schedule) if isinstance(schedule, dict) else schedule,
        )
        for key in ITERATIONS:
            if rules.is_share(getattr(self.schedule, key)):
                raise UserError(
                    f"{self.place('schedule', key)}: only a config may give a share of the training"
                )

    @property
    def name(self):
        """The name of the loss in the log, such as "hidden_0_SegChannelwiseLoss"."""
        return f"{self.student if self.uses_adaptor else self.student.label}_{self.loss_name}"

    @property
    def loss_name(self):
        """The name of the loss alone."""
        return self.loss["type"] if isinstance(self.loss, dict) else loss_name(self.loss)

    @property
    def uses_adaptor(self):
        """Whether an adaptor of a `distill_config.py` names its tensors."""
        return isinstance(self.student, AdaptorName)

    @property
    def states_grid(self):
        """Whether the feature itself states how tokens become maps; its taps may state it as well."""
        return bool(self.grid or self.skip)

    def _set(self, **values):
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _own_place(self, *keys):
        named = self.loss_name if callable(self.loss) or isinstance(self.loss, dict) else self.loss
        return ": ".join([f"Feature({self.student}, {self.teacher}, {named})", *map(str, keys)])

    def _check(self):
        """Raise `UserError` for the first argument that the rules of a config refuse."""
        objects = {"loss": callable, "connector": lambda value: isinstance(value, nn.Layer)}
        if isinstance(self.grid, tuple):
            self._set(grid=list(self.grid))
        for key, rule in rules.FEATURE.items():
            value = getattr(self, key)
            if isinstance(value, (Tap, AdaptorName, Schedule)) or objects.get(key, _no)(value):
                continue
            checker = Checker({"num_classes": 1}, lambda path: "")
            rule(checker, value, (key,))
            if checker.problems:
                raise UserError(f"{self.place()}: {checker.problems[0]}")
        if self.share != 1 and self.weight != AUTO:
            raise UserError(f'{self.place("share")}: has no effect without weight="auto"')


def _no(value):
    return False


def features_of_config(cfg):
    """Return the `Feature`s of a checked config's `distill.features`."""
    return [_feature(spec, cfg, i) for i, spec in enumerate(cfg.feature_specs)]


def _feature(spec, cfg, i):
    def place(*keys):
        return cfg.place("distill", "features", i, *keys)

    role = "teacher" if spec.get("teacher") else "student"  # that states the teacher's tap
    return Feature(
        student=_tap(spec["student"], spec, "student", place),
        teacher=_tap(spec.get(role) or spec["student"], spec, role, place),
        loss=spec["loss"],
        weight=spec.get("weight", 1),
        share=spec.get("share", 1),
        connector=spec.get("connector", "auto"),
        schedule=_in_iterations(spec.get("schedule"), cfg.get("iters")),
        teacher_index=spec.get("teacher_index", 0),
        grid=spec.get("grid"),
        skip=spec.get("skip", 0),
        place=place,
    )


def _in_iterations(schedule, iters):
    """Return a schedule of a config with its shares of the training as iterations."""
    return {
        key: max(round(value * iters), 1) if key in ITERATIONS and rules.is_share(value) else value
        for key, value in (schedule or {}).items()
    }


def _tap(own, shared, role, place):
    """Return the tap of a role; what it does not state of `grid` and `skip` the feature may state."""
    if isinstance(own, AdaptorName):
        return own
    if isinstance(own, Tap):
        if own.grid or own.skip or not (shared.get("grid") or shared.get("skip")):
            return own
        own = {own.kind: own.name, "index": own.index}
    own = {"output_of": own} if isinstance(own, str) else own
    kind = next(key for key in rules.PLACES if key in own)
    grid, skip = (own.get(key) or shared.get(key) for key in ("grid", "skip"))
    stated = next((key for key in ("grid", "skip") if own.get(key) or shared.get(key)), None)
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
