"""Turn SIGTERM, SIGINT and SIGHUP into a request to stop, which the training reads between two steps."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time

from paddleseg.errors import Stopped

SAME_SIGNAL_SECONDS = 5  # Paddle's launcher sends SIGTERM three times in half a second
_PR_SET_PDEATHSIG = 1


def stop_signals():
    """Return the signals that ask a process to stop: SIGTERM, SIGINT, and SIGHUP unless it is ignored."""
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    wanted = hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT, *([hangup] if wanted else []))


@contextlib.contextmanager
def handlers_restored():
    """A context at whose end the `stop_signals` do what they did before.

    After a `StopRequest` they stay ignored, which is right for a process that ends, and wrong for a notebook.
    """
    before = {signum: signal.getsignal(signum) for signum in stop_signals()}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for signum, handler in before.items():
                signal.signal(signum, handler)


class StopRequest:
    """A context in which the `stop_signals` set `signum` instead of ending the process.

    Repeats within 5 seconds count as the same signal; a later one ends the process at once. After a stop,
    the signals stay ignored, so that repeats do not change the exit status.

    Attributes:
        signum: the number of the first signal, 0 before it.
    """

    def __init__(self):
        self.signum = 0
        self._since = None
        self._before = {}
        self._pid = None

    def __enter__(self):
        self._pid = os.getpid()
        if threading.current_thread() is threading.main_thread():
            for signum in stop_signals():
                self._before[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, kind, error, trace):
        # `Stopped` may be due to another rank's signal.
        stopped = self.signum or isinstance(error, Stopped)
        for signum, handler in self._before.items():
            # At its end, Python resets handlers to the default, but keeps "ignored".
            signal.signal(signum, signal.SIG_IGN if stopped else handler)
        self._before = {}

    def ask(self, signum, why):
        """Request a stop as the signal would."""
        if self._since is None:
            self._since = time.monotonic()
            self.signum = signum
            print_now(f"{why}: the training stops after this step and saves")

    def _handle(self, signum, frame):
        if os.getpid() != self._pid:
            return  # a data worker that was just forked and has not set its own handlers
        if self._since is not None and time.monotonic() - self._since >= SAME_SIGNAL_SECONDS:
            print_now(f"a second {signal.Signals(signum).name}: the training ends at once, without saving")
            os._exit(128 + signum)
        self.ask(signum, signal.Signals(signum).name)


def outlive_signals(worker_id=0):
    """Let a data worker ignore signals and die with the process that started it.

    Terminals, Paddle's launcher and batch systems signal all processes of a job. A worker that ended on its
    own would count as a failure in the middle of the last save.
    """
    for signum in stop_signals():
        signal.signal(signum, signal.SIG_IGN)
    if sys.platform.startswith("linux"):
        # Paddle's workers check for their parent only between batches, and may wait for ever for one.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def print_now(text):
    """Print a line to stderr, from wherever a signal or a thread finds the process."""
    # Neither logging nor print(), which a signal may have interrupted. A terminal that was closed, or a
    # `tee` that Ctrl-C has ended, reads nothing any more.
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())
