"""SIGTERM and SIGINT as a request to stop, seen where the training can be stopped."""

import ctypes
import os
import signal
import sys
import threading
import time

from paddleseg.errors import Stopped

SAME_SIGNAL_SECONDS = 5  # Paddle's launcher sends SIGTERM three times in half a second
_PR_SET_PDEATHSIG = 1


class StopRequest:
    """A context in which SIGTERM and SIGINT set `signum` instead of ending the process.

    Repeats within 5 seconds count as the same signal; a later one ends the process at once. After a stop both
    signals are ignored for good, so that repeats do not change the status of a process that is ending.

    Attributes:
        signum: the number of the first signal, 0 while there was none.
    """

    def __init__(self):
        self.signum = 0
        self._since = None
        self._before = {}
        self._pid = None

    def __enter__(self):
        self._pid = os.getpid()
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGTERM, signal.SIGINT):
                self._before[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(self, kind, error, trace):
        stopped = self.signum or isinstance(error, Stopped)  # by another rank's signal, which comes here too
        for signum, handler in self._before.items():
            # An ending interpreter puts back the default in place of a handler, but keeps "ignored".
            signal.signal(signum, signal.SIG_IGN if stopped else handler)
        self._before = {}

    def ask(self, signum, why):
        """Ask to stop as if the signal had come."""
        if self._since is None:
            self._since = time.monotonic()
            self.signum = signum
            _say(f"{why}: the training stops after this step and saves")

    def _handle(self, signum, frame):
        if os.getpid() != self._pid:
            return  # a data worker that has only just been forked
        if self._since is not None and time.monotonic() - self._since >= SAME_SIGNAL_SECONDS:
            _say(f"a second {signal.Signals(signum).name}: the training ends at once, without saving")
            os._exit(128 + signum)
        self.ask(signum, signal.Signals(signum).name)


def outlive_signals(worker_id=0):
    """In a data worker: stay as long as the reading process, which ends it, and die with that.

    Terminals, Paddle's launcher and batch systems signal all processes of a job. A worker that ended by
    itself would be taken for a failure, in the middle of the last save.
    """
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_IGN)
    if sys.platform.startswith("linux"):
        # Paddle's workers look for their parent only between two batches, and wait for ever for the next one.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _say(text):
    # Neither logging nor print: this may have interrupted one of them.
    os.write(2, f"{text}\n".encode())
