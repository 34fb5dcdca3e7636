"""Which engine computes each teacher."""

import functools
import statistics
import time

import paddle

from paddleseg import parallel
from paddleseg.distill.teachers.onnx_teacher import ONNXTeacher
from paddleseg.distill.teachers.teacher_export import exported_engine
from paddleseg.errors import UserError, one_line
from paddleseg.graphs import onnx_file
from paddleseg.utils.logger import logger

AUTO, PADDLE, ONNX = "auto", "paddle", "onnxruntime"
# Largest difference between two engines, relative to the largest number of the tensor.
AGREEMENT = 1e-4
REPEATS = 3
# A teacher whose forward passes take no longer than this in the whole run is not worth an export.
WORTHWHILE_SECONDS = 30


def choose_engines(teachers, images, passes, wanted=AUTO, recorded=None):
    """Give each teacher its engine and return {key: name of the engine}, for what decides the outcome.

    Args:
        teachers: list of `Teacher`; their `engine` is set.
        images: a batch of the training's size, N x 3 x H x W.
        passes: how often each teacher will be run.
        wanted: "paddle", "onnxruntime", or "auto", the faster one that agrees with Paddle. Default "auto".
        recorded: the same dict of the run that goes on, whose engines "auto" keeps.

    Raises:
        UserError: onnxruntime is wanted, or recorded, and cannot compute a teacher.
    """
    chosen = {}
    for k, teacher in enumerate(teachers):
        if isinstance(teacher.model, ONNXTeacher):
            continue  # a file of its own, of which Paddle knows nothing
        role = "teacher" if len(teachers) == 1 else f"teacher {k}"
        key = f"teacher {k}: engine"
        asked, why = wanted, f"--teacher_engine {ONNX}"
        if asked == AUTO and (recorded or {}).get(key) in (PADDLE, ONNX):
            asked = recorded[key]
            why = (
                f"until now {ONNX} computed the {role}, and it cannot any more (--teacher_engine {PADDLE} "
                f"--resume_anyway does without)"
            )
        if asked == AUTO:
            _take_faster(teacher, images, passes, role)
        elif asked == ONNX:
            _insist(teacher, images, role, why)
        chosen[key] = teacher.engine.name
    return chosen


def _insist(teacher, images, role, why):
    refusal = _on_gpu() or _not_installed()
    if refusal:
        raise UserError(f"{why}: {refusal}")
    try:
        candidate, difference = _candidate(teacher, images)
    except UserError as error:
        raise UserError(f"{why}: {error}") from error
    if not difference <= AGREEMENT:
        raise UserError(f"{why}: {_disagreement(difference)}")
    teacher.engine = candidate
    logger.info(f"{role}: computed by {ONNX} ({_difference_told(difference)})")


def _take_faster(teacher, images, passes, role):
    """Let onnxruntime compute a teacher where it can, agrees, and is faster on every rank."""
    why_not = _on_gpu() or _not_worthwhile(teacher, images, passes) or _not_installed()
    if parallel.most_over_ranks(int(bool(why_not))):
        logger.info(f"{role}: computed by Paddle; {why_not or 'another rank wants it'}")
        return
    candidate, told = None, ""
    try:
        candidate, difference = _candidate(teacher, images)
        seconds = _seconds(teacher.engine, candidate, images)
        told = (
            f"{seconds[1]:.3f} s under {ONNX} and {seconds[0]:.3f} s under Paddle for a batch of "
            f"{' x '.join(map(str, images.shape))}, {_difference_told(difference)}"
        )
        if not difference <= AGREEMENT:
            candidate, told = None, f"{ONNX}: {_disagreement(difference)}"
        elif seconds[1] >= seconds[0]:
            candidate = None
    except UserError as error:
        told = f"{ONNX}: {error}"
    # Timed apart, the ranks might choose differently.
    if parallel.most_over_ranks(int(candidate is None)):
        logger.info(f"{role}: computed by Paddle; {told}")
        return
    teacher.engine = candidate
    logger.info(f"{role}: computed by {ONNX}; {told}")


def _on_gpu():
    """Return why onnxruntime does not compute a teacher on this device, None where it may."""
    if parallel.on_cpu():
        return None
    return f"{ONNX} computes teachers on the CPU, and this is {paddle.get_device()}"


def _not_installed():
    try:
        onnx_file.check_installed(ONNX)
    except UserError as error:
        return str(error)
    return None


def _not_worthwhile(teacher, images, passes):
    seconds = statistics.median(_timed(teacher.engine, images) for _ in range(REPEATS))
    if seconds * passes > WORTHWHILE_SECONDS:
        return None
    return f"its {passes} forward passes take {seconds * passes:.1f} s, for which no export is made"


def _candidate(teacher, images):
    """Return (an `OnnxEngine` of a teacher, its difference from Paddle)."""
    # On other images, too: a graph may have kept what a layer left on itself in the last pass.
    tried = [(some, _run(teacher.engine, some)) for some in (images, images.flip([3]))]
    logits, taps = tried[0][1]
    # Each takes two passes of the teacher; a file that was kept and fits is asked about twice.
    difference = functools.cache(functools.partial(_largest_difference, tried))

    def fits(kept):
        try:
            return difference(kept) <= AGREEMENT
        except UserError:
            return False

    engine = exported_engine(teacher, images, len(logits), list(taps), fits)
    return engine, difference(engine)


def _largest_difference(tried, engine):
    return max(_difference(expected, images, engine) for images, expected in tried)


def _difference(expected, images, engine):
    """Return the largest relative difference of an engine from the expected answers; infinite of shapes."""
    ours = _tensors(expected)
    try:
        theirs = _tensors(_run(engine, images))
    except Exception as error:  # onnxruntime's errors share no class
        raise UserError(f"{ONNX} cannot run the export: {one_line(error)[-300:]}") from error
    if [tensor.shape for tensor in ours] != [tensor.shape for tensor in theirs]:
        return float("inf")
    return max(map(_relative, ours, theirs))


def _relative(ours, theirs):
    ours, theirs = ours.astype("float32"), theirs.astype("float32")
    largest = float(ours.abs().max())
    return float((ours - theirs).abs().max()) / (largest or 1.0)


def _tensors(answers):
    logits, taps = answers
    return [*logits, *taps.values()]


def _seconds(first, second, images):
    """Return the median seconds of two engines, whose runs take turns."""
    times = [(_timed(first, images), _timed(second, images)) for _ in range(REPEATS)]
    return [statistics.median(of_one) for of_one in zip(*times)]


def _timed(engine, images):
    start = time.perf_counter()
    _run(engine, images)
    return time.perf_counter() - start


@paddle.no_grad()
def _run(engine, images):
    return engine(images)


def _difference_told(difference):
    return f"largest relative difference {difference:.1e}"


def _disagreement(difference):
    return f"{_difference_told(difference)} from Paddle, more than {AGREEMENT:.0e}"
