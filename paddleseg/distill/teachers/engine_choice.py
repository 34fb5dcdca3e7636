"""The choice of the engine that computes each teacher."""

import functools
import statistics
import time

import paddle

from paddleseg import parallel
from paddleseg.distill.teachers.engines import ENGINES, PaddleEngine
from paddleseg.errors import UserError, one_line, suggestion
from paddleseg.utils.logger import logger

AUTO, PADDLE = "auto", PaddleEngine.name
# Largest difference between two engines, relative to the largest number of the tensor.
AGREEMENT = 1e-4
REPEATS = 3
# Another engine is not prepared for a teacher whose forward passes take no longer than this in the whole run.
WORTHWHILE_SECONDS = 30
# Durations relative to Paddle's in whole numbers, as ranks exchange them; this one is as slow as Paddle.
_AS_SLOW = 10**6


def check_engine(name):
    """Raise `UserError` unless `name`, a value of the option `teacher_engine`, is "auto" or registered."""
    names = (AUTO, *ENGINES)
    if name not in names:
        raise UserError(f"teacher_engine: unknown engine {name!r}; {suggestion(name, names)}")


def choose_engines(teachers, images, passes, wanted=AUTO, recorded=None):
    """Set the engine of each teacher and return {key: name of the engine}, which checkpoints record.

    Args:
        teachers: list of `Teacher`; their `engine` is set.
        images: a batch of the training's size, N x 3 x H x W.
        passes: how many forward passes each teacher will make.
        wanted: the name of an engine, or "auto": the fastest one that agrees with Paddle. Default "auto".
        recorded: the dict that this function returned in the run that is resumed; "auto" keeps its engines.

    Raises:
        UserError: the wanted or recorded engine cannot compute a teacher.
    """
    chosen = {}
    for k, teacher in enumerate(teachers):
        if teacher.computes_itself:
            continue
        role = "teacher" if len(teachers) == 1 else f"teacher {k}"
        key = f"teacher {k}: engine"
        before = (recorded or {}).get(key)
        if wanted != AUTO:
            _use(wanted, teacher, images, role, f"teacher_engine {wanted}")
        elif before in ENGINES:
            problem = (
                f"{before} computed the {role} until now and cannot any more (to go on without it: "
                f"teacher_engine {PADDLE} and resume_anyway)"
            )
            _use(before, teacher, images, role, problem)
        else:
            _use_fastest(teacher, images, passes, role)
        chosen[key] = teacher.engine.name
    return chosen


def _use(name, teacher, images, role, problem):
    """Let one engine compute a teacher; a `UserError`, which begins with `problem`, says why it cannot."""
    if name == PADDLE:
        return
    kind = ENGINES[name]
    try:
        refusal = _wrong_device(kind) or kind.why_not(teacher)
        if refusal:
            raise UserError(refusal)
        engine, agreement = _build(kind, teacher, images)
    except UserError as error:
        raise UserError(f"{problem}: {error}") from error
    teacher.engine = engine
    logger.info(f"{role}: computed by {name} ({agreement})")


def _use_fastest(teacher, images, passes, role):
    """Give a teacher the fastest engine that agrees with Paddle, counting each engine's slowest rank."""
    why_not_worthwhile = functools.cache(functools.partial(_why_not_worthwhile, teacher, images, passes))
    best, shortest, notes = teacher.engine, _AS_SLOW, []
    for kind in ENGINES.values():
        if kind.name == PADDLE or not kind.automatic:
            continue
        refusal = _wrong_device(kind) or why_not_worthwhile() or kind.why_not(teacher)
        if parallel.most_over_ranks(int(bool(refusal))):
            notes.append(refusal or f"{kind.name} cannot compute it on another rank")
            continue
        engine, duration, note = _timed_candidate(kind, teacher, images)
        notes.append(note)
        # By its own times alone, one rank might choose another engine than the next.
        duration = parallel.most_over_ranks(duration)
        if duration < shortest:
            best, shortest = engine, duration
    teacher.engine = best
    logger.info("; ".join([f"{role}: computed by {best.name}", *dict.fromkeys(notes)]))


def _timed_candidate(kind, teacher, images):
    """Return (engine, its duration relative to Paddle's in millionths, a note for the log).

    An engine that fails or disagrees is None, and its duration is that of Paddle.
    """
    try:
        engine, agreement = _build(kind, teacher, images)
    except UserError as error:
        return None, _AS_SLOW, f"{kind.name}: {error}"
    seconds = _seconds_in_turns(teacher.engine, engine, images)
    note = (
        f"{seconds[1]:.3f} s under {kind.name} and {seconds[0]:.3f} s under {PADDLE} for a batch of "
        f"{' x '.join(map(str, images.shape))}, {agreement}"
    )
    return engine, int(_AS_SLOW * seconds[1] / seconds[0]), note


def _wrong_device(kind):
    """Return why an engine does not compute on this device, None if it does."""
    if not kind.cpu_only or parallel.on_cpu():
        return None
    return f"{kind.name} computes teachers on the CPU, and this is {paddle.get_device()}"


def _why_not_worthwhile(teacher, images, passes):
    seconds = passes * statistics.median(seconds_of(teacher.engine, images) for _ in range(REPEATS))
    if seconds > WORTHWHILE_SECONDS:
        return None
    return (
        f"its forward passes take {seconds:.1f} s in the whole run ({passes} of them), and another engine is "
        f"tried only above {WORTHWHILE_SECONDS} s"
    )


def _build(kind, teacher, images):
    """Return (an engine of a teacher, its difference from Paddle in words).

    Raises:
        UserError: the engine cannot be built, fails, or disagrees with Paddle.
    """
    reference = Reference(teacher.engine, images)
    engine = kind.build(teacher, reference)
    difference = reference.difference(engine)
    in_words = f"largest relative difference {difference:.1e}"
    if not difference <= AGREEMENT:
        raise UserError(f"{in_words} from {PADDLE}, more than {AGREEMENT:.0e}")
    return engine, in_words


class Reference:
    """What Paddle computes for some images, with which other engines are compared.

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
        # The mirrored images as well: an exported graph may hold what a layer kept of the first ones.
        self._expected = [(some, _run(engine, some)) for some in (images, images.flip([3]))]
        logits, taps = self._expected[0][1]
        self.num_logits, self.keys = len(logits), list(taps)
        self._differences = {}

    def difference(self, engine):
        """Return the largest difference of any tensor, relative to its largest number; inf for other shapes.

        Raises:
            UserError: the engine fails.
        """
        if engine not in self._differences:
            pairs = [_compared(expected, images, engine) for images, expected in self._expected]
            self._differences[engine] = max(pairs)
        return self._differences[engine]

    def agrees(self, engine):
        """Return whether an engine computes the same, up to rounding."""
        try:
            return self.difference(engine) <= AGREEMENT
        except UserError:
            return False


def _compared(expected, images, engine):
    ours = _tensors(expected)
    try:
        theirs = _tensors(_run(engine, images))
    except Exception as error:  # onnxruntime's errors share no class
        raise UserError(f"it fails: {one_line(error)[-300:]}") from error
    if [tensor.shape for tensor in ours] != [tensor.shape for tensor in theirs]:
        return float("inf")
    return max(map(_relative, ours, theirs))


def _tensors(outputs):
    logits, taps = outputs
    return [*logits, *taps.values()]


def _relative(ours, theirs):
    ours, theirs = ours.astype("float32"), theirs.astype("float32")
    largest = float(ours.abs().max())
    return float((ours - theirs).abs().max()) / (largest or 1.0)


def _seconds_in_turns(first, second, images):
    """Return the median seconds of two engines, which run in turns."""
    times = [(seconds_of(first, images), seconds_of(second, images)) for _ in range(REPEATS)]
    return [statistics.median(of_one) for of_one in zip(*times)]


def seconds_of(engine, images):
    """Return how many seconds one run of an engine takes."""
    start = time.perf_counter()
    _run(engine, images)
    return time.perf_counter() - start


@paddle.no_grad()
def _run(engine, images):
    return engine(images)
