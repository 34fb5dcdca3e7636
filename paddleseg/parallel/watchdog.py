"""Notices what a rank blocked in a collective does not: that its launcher or another rank has died."""

import faulthandler
import os
import signal
import socket
import sys
import threading
import zlib

import paddle

from paddleseg import parallel
from paddleseg.utils import cpu

SECONDS = 1.0


class Watchdog:
    """A context in which a thread watches the launcher and the ranks of the same host.

    Without its launcher a rank stops as by SIGTERM. Without another rank it ends at once with status 1 and
    the stack that it was in, since what it waits for will never come. Ranks of other hosts are watched
    there, and a process that no launcher started is not watched at all.

    Args:
        stop: a `StopRequest`.
    """

    def __init__(self, stop):
        self._stop = stop
        self._over = threading.Event()
        self._thread = None

    def __enter__(self):
        if "PADDLE_TRAINER_ID" in os.environ:
            peers = _peers()
            self._thread = threading.Thread(target=self._watch, args=(peers,), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind, error, trace):
        if kind is None or getattr(error, "together", False):
            # Nobody leaves, and seems to have died, while others still watch.
            parallel.most_over_ranks(0)
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, peers):
        while not self._over.wait(SECONDS):
            if os.getppid() != cpu.PARENT:
                self._stop.ask(signal.SIGTERM, "the launcher has died")
            for rank, process in peers.items():
                if process != _process(process[0]) and not self._over.is_set():
                    text = f"rank {rank} (process {process[0]}) has died, and this rank ends with it"
                    print(f"error: {text}; its own log says why", file=sys.stderr, flush=True)
                    faulthandler.dump_traceback()
                    os._exit(1)


def _peers():
    """Return {rank: (pid, start time)} of the other ranks of this host."""
    if parallel.num_ranks() == 1 or not os.path.isdir("/proc/self"):
        return {}
    host = zlib.crc32(socket.gethostname().encode())
    own = [host, *_process(os.getpid())]
    everyone = parallel.gathered(paddle.to_tensor(own, dtype="int64")).numpy()
    return {
        rank: (int(pid), int(started))
        for rank, (where, pid, started) in enumerate(everyone)
        if where == host and rank != parallel.rank()
    }


def _process(pid):
    """Return (pid, start time) of a living process; pids are used again, pairs are not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (pid, int(fields[19]))
