"""The choice of the engine that computes each teacher."""

import functools
import statistics
import time

import numpy as np
import paddle

from paddleseg import onednn, parallel
from paddleseg.distill.teachers.engines import ENGINES, PaddleEngine
from paddleseg.errors import UserError, one_line, suggestion
from paddleseg.utils.logger import logger

AUTO, PADDLE = "auto", PaddleEngine.name
# Largest difference between two engines, relative to the largest number of the tensor.
AGREEMENT = 1e-4
REPEATS = 3
# Another engine is not prepared for a teacher whose forward passes take no longer than this in the whole
# run, by what computes convolutions: an export takes some 20 s, and beside oneDNN it saves less.
WORTHWHILE_SECONDS = {"paddle": 30, "onednn": 90}
# Paddle's duration. Others are relative to it, in whole numbers, since ranks exchange no others.
_PADDLE_DURATION = 10**6


def check_engine(name):
    """Raise `UserError` unless an engine, as `teacher_engine` names it, is "auto" or one of this device."""
    names = (AUTO, *ENGINES)
    if name not in names:
        raise UserError(f"teacher_engine: unknown engine {name!r}; {suggestion(name, names)}")
    refusal = None if name == AUTO else _wrong_device(ENGINES[name])
    if refusal:
        raise UserError(f"teacher_engine {name}: {refusal}")


def choose_engines(teachers, images, passes, wanted=AUTO, recorded=None):
    """Set the engine of each teacher and return {key: name of the engine}, which checkpoints record.

    Args:
        teachers: list of `Teacher`; their `engine` is set.
        images: a batch of the training's size, N x 3 x H x W.
        passes: how many forward passes each teacher will make.
        wanted: the name of an engine, or "auto": the fastest one that agrees with Paddle. Default "auto".
        recorded: the dict that this function returned in the run that is resumed. "auto" keeps its engines;
            for an engine that is no longer registered, it chooses the fastest one again. Default None.

    Raises:
        UserError: the wanted engine, or a recorded and still registered one, cannot compute a teacher.
    """
    chosen = {}
    for k, teacher in enumerate(teachers):
        if teacher.teacher_only:
            continue
        role = "teacher" if len(teachers) == 1 else f"teacher {k}"
        key = f"teacher {k}: engine"
        previous = (recorded or {}).get(key)
        if wanted != AUTO:
            _use(wanted, teacher, images, role, f"teacher_engine {wanted}")
        elif previous in ENGINES:
            error_prefix = (
                f"{previous} computed the {role} until now and cannot any more (to go on without it: "
                f"teacher_engine {PADDLE} and resume_anyway)"
            )
            _use(previous, teacher, images, role, error_prefix)
        else:
            _use_fastest(teacher, images, passes, role)
        chosen[key] = teacher.engine.name
    return chosen


def _use(name, teacher, images, role, error_prefix):
    """Set the engine of a teacher by its name; if it cannot compute the teacher, raise `UserError`."""
    if name == PADDLE:
        return  # every teacher starts with Paddle's engine
    engine_class = ENGINES[name]
    try:
        refusal = _wrong_device(engine_class) or engine_class.why_not(teacher)
        if refusal:
            raise UserError(refusal)
        engine, agreement = _build(engine_class, teacher, images)
    except UserError as error:
        raise UserError(f"{error_prefix}: {error}") from error
    teacher.engine = engine
    logger.info(f"{role}: computed by {name} ({agreement})")


def _use_fastest(teacher, images, passes, role):
    """Set the engine of a teacher to the fastest one that agrees with Paddle.

    With several ranks, the slowest rank counts for each engine, so that all ranks choose the same one.
    """

    @functools.cache  # measured at most once, and only if an engine suits the device
    def why_not_worthwhile():
        return _why_not_worthwhile(teacher, images, passes)

    best, shortest, notes = teacher.engine, _PADDLE_DURATION, []
    for engine_class in ENGINES.values():
        if engine_class.name == PADDLE or not engine_class.automatic:
            continue
        refusal = _wrong_device(engine_class) or why_not_worthwhile() or engine_class.why_not(teacher)
        if parallel.most_over_ranks(int(bool(refusal))):
            notes.append(refusal or f"{engine_class.name} cannot compute it on another rank")
            continue
        engine, duration, note = _timed_candidate(engine_class, teacher, images)
        notes.append(note)
        duration = parallel.most_over_ranks(duration)
        if duration < shortest:
            best, shortest = engine, duration
    teacher.engine = best
    onednn.freeze(teacher.model)  # the memory of an engine that is not taken
    logger.info("; ".join([f"{role}: computed by {best.name}", *dict.fromkeys(notes)]))


def _timed_candidate(engine_class, teacher, images):
    """Return (engine, its duration relative to Paddle's in millionths, a note for the log).

    For an engine that fails or disagrees, return None in its place, and Paddle's duration.
    """
    try:
        engine, agreement = _build(engine_class, teacher, images)
    except UserError as error:
        return None, _PADDLE_DURATION, f"{engine_class.name}: {error}"
    paddle_seconds, seconds = _seconds_in_turns(teacher.engine, engine, images)
    note = (
        f"{seconds:.3f} s under {engine_class.name} and {paddle_seconds:.3f} s under {PADDLE} for a batch of "
        f"{' x '.join(map(str, images.shape))}, {agreement}"
    )
    return engine, int(_PADDLE_DURATION * seconds / paddle_seconds), note


def _wrong_device(engine_class):
    """Return why an engine does not compute on this device, None if it does."""
    if not engine_class.cpu_only or parallel.on_cpu():
        return None
    return f"{engine_class.name} computes teachers on the CPU, and this is {paddle.get_device()}"


def _why_not_worthwhile(teacher, images, passes):
    """Return why a faster engine would save too little time in the whole run, None if it may save enough."""
    # The median leaves out a slow first pass.
    seconds = passes * statistics.median(seconds_of(teacher.engine, images) for _ in range(REPEATS))
    least = WORTHWHILE_SECONDS[onednn.engine()]
    if seconds > least:
        return None
    return (
        f"its forward passes take {seconds:.1f} s in the whole run ({passes} of them), and another engine is "
        f"tried only above {least} s"
    )


def _build(engine_class, teacher, images):
    """Return (an engine of a teacher, its difference from Paddle in words).

    Raises:
        UserError: the engine cannot be built, fails, or disagrees with Paddle.
    """
    reference = Reference(teacher.engine, images)
    onednn.freeze(teacher.model)  # two engines need twice the memory for weights, and often one will do
    engine = engine_class.build(teacher, reference)
    difference = reference.difference(engine)
    in_words = f"largest relative difference {difference:.1e}"
    if not difference <= AGREEMENT:  # this refuses NaN as well
        raise UserError(f"{in_words} from {PADDLE}, more than {AGREEMENT:.0e}")
    return engine, in_words


class Reference:
    """The outputs that Paddle computes for some images, to compare other engines with.

    Args:
        engine: Paddle's engine of a teacher.
        images: N x 3 x H x W.

    Attributes:
        images: the same.
        num_logits: how many logits the teacher gives.
        keys: the keys of its taps, in their order.
    """

    def __init__(self, engine, images):
        self.images = images
        # Mirrored images as well: an export can freeze values that a layer computed from the first images.
        self._expected = [(inputs, _run(engine, inputs)) for inputs in (images, images.flip([3]))]
        _, (logits, taps) = self._expected[0]
        self.num_logits, self.keys = len(logits), list(taps)
        self._differences = {}

    def difference(self, engine):
        """Return the largest difference of any tensor, relative to the tensor's largest number.

        It is inf if shapes differ, and NaN if a tensor holds NaN.

        Raises:
            UserError: the engine fails.
        """
        if engine not in self._differences:
            differences = [_largest_difference(engine, *pair) for pair in self._expected]
            self._differences[engine] = _largest(differences)
        return self._differences[engine]

    def agrees(self, engine):
        """Return whether an engine computes the same as Paddle, up to rounding."""
        try:
            return self.difference(engine) <= AGREEMENT
        except UserError:
            return False


def _largest_difference(engine, images, expected):
    """Return the largest relative difference between an engine's outputs and Paddle's; see `difference`."""
    ours = _tensors(expected)
    try:
        theirs = _tensors(_run(engine, images))
    except Exception as error:  # onnxruntime's errors share no class
        raise UserError(f"it fails: {one_line(error)[-300:]}") from error
    if [tensor.shape for tensor in ours] != [tensor.shape for tensor in theirs]:
        return float("inf")
    return _largest(list(map(_relative_difference, ours, theirs)))


def _largest(differences):
    # Python's `max` would lose a NaN that is not the first item.
    return float(np.max(differences))


def _tensors(outputs):
    logits, taps = outputs
    return [*logits, *taps.values()]


def _relative_difference(ours, theirs):
    ours, theirs = ours.astype("float32"), theirs.astype("float32")
    largest = float(ours.abs().max())
    return float((ours - theirs).abs().max()) / (largest or 1.0)


def _seconds_in_turns(first, second, images):
    """Return the median seconds of one run of each of two engines, which run in turns."""
    rounds = [(seconds_of(first, images), seconds_of(second, images)) for _ in range(REPEATS)]
    return [statistics.median(seconds) for seconds in zip(*rounds)]


def seconds_of(engine, images):
    """Return how many seconds one run of an engine takes."""
    start = time.perf_counter()
    _run(engine, images)
    if not parallel.on_cpu():
        paddle.device.synchronize()  # else the time would be that of the launch alone
    return time.perf_counter() - start


@paddle.no_grad()
def _run(engine, images):
    return engine(images)
