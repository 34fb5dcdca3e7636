"""Name the phases of a training step for the profiler."""

import contextlib

import paddle
from paddle.profiler import RecordEvent

# In the order of a step.
PHASES = ("reading", "teacher", "student", "losses", "backward", "optimizer")

_waiting = False


@contextlib.contextmanager
def phase(name):
    """Name the computations of this context, one of `PHASES`; without a profiler this costs no time."""
    with RecordEvent(name):
        yield
        if _waiting:
            paddle.device.synchronize()


@contextlib.contextmanager
def waiting_phases():
    """Let each phase in this context wait for the device at its end, so that a GPU's work counts for it."""
    global _waiting
    _waiting = not paddle.get_device().startswith("cpu")
    try:
        yield
    finally:
        _waiting = False
