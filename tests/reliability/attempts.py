"""Commands run within this process on inputs that chance has spoilt: each runs, or refuses in one message."""

import contextlib
import io
import os
import resource
import runpy
import shutil
import sys
import warnings

from hypothesis import HealthCheck, Phase, settings

from paddleseg.training.trainer import Trainer

# What a spoilt number may ask for beyond what the process has: enough for any of these trainings.
SPARE_BYTES = 3 << 30


def trials(count):
    """Return Hypothesis's settings for `count` examples, the same ones each time."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


def outcome(script, *arguments):
    """Run a command, a training for no more than one iteration; return (exit status, what it said).

    Raises:
        AssertionError: it refused without one clear message.
        Exception: whatever it did not catch.
    """
    arguments = [str(argument) for argument in arguments]
    told, status = io.StringIO(), 0
    with _as_command(script, arguments), contextlib.redirect_stderr(told):
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as stop:
            status = stop.code
    said = told.getvalue()
    assert "Traceback" not in said, said
    if status == 1:
        return status, said
    if status:
        assert status == 2, said
        message = said[said.rindex("error: ") :]
        assert len(message.strip()) > len("error: "), said
        assert len(message) < 10_000, message[:300]
    return status, said


@contextlib.contextmanager
def _as_command(script, arguments):
    over, environment = Trainer.over, os.environ.copy()
    kept = sys.argv, list(sys.path)
    sys.argv = [script, *arguments]
    Trainer.over = lambda trainer: trainer.iteration > 0 or over(trainer)
    try:
        with _little_memory(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        Trainer.over = over
        sys.argv, sys.path[:] = kept
        os.environ.clear()
        os.environ.update(environment)


@contextlib.contextmanager
def _little_memory():
    """Let huge allocations fail here rather than take the machine's memory."""
    if not os.path.exists("/proc/self/statm"):
        yield
        return
    limits = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + SPARE_BYTES, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def empty_folder(path):
    """Return `path`, a folder that is there and empty, as text."""
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return str(path)
