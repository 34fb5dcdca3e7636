"""The parts of a training step by name, for who profiles it."""

import contextlib

import paddle
from paddle.profiler import RecordEvent

# In the order of a step.
PARTS = ("reading", "teacher", "student", "losses", "backward", "optimizer")

_waiting = False


@contextlib.contextmanager
def part(name):
    """Name what is computed in this context, one of `PARTS`; costs nothing unless it is being profiled."""
    with RecordEvent(name):
        yield
        if _waiting:
            paddle.device.synchronize()


@contextlib.contextmanager
def timed_apart():
    """Let each part wait for the device at its end, so that its time is its own on a GPU as well."""
    global _waiting
    _waiting = not paddle.get_device().startswith("cpu")
    try:
        yield
    finally:
        _waiting = False
