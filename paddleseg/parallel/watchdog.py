"""Watch whether the launcher or another rank has died, which a rank in a collective cannot notice."""

import faulthandler
import os
import signal
import socket
import threading
import zlib

import paddle

from paddleseg import parallel
from paddleseg.parallel.signals import print_now
from paddleseg.utils import cpu

SECONDS = 1.0


class Watchdog:
    """A context in which a thread watches the launcher and the ranks of the same host.

    If the launcher dies, the rank stops as after SIGTERM. If another rank dies, this rank prints its stack
    and ends at once with status 1, since it would wait for the other for ever. Each host watches its own
    ranks; a process without a launcher watches nothing.

    Args:
        stop: a `StopRequest`.
        peers: the processes to watch, {rank: what `process` returns}. Default: the other ranks of this host.
    """

    def __init__(self, stop, peers=None):
        self._stop = stop
        self._peers = peers
        self._over = threading.Event()
        self._thread = None

    def __enter__(self):
        if "PADDLE_TRAINER_ID" in os.environ:
            peers = _other_ranks() if self._peers is None else self._peers
            self._thread = threading.Thread(target=self._watch, args=(peers,), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind, error, trace):
        if kind is None or getattr(error, "together", False):
            # All ranks leave together, so that none seems to have died to another that still watches.
            parallel.most_over_ranks(0)
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, peers):
        while not self._over.wait(SECONDS):
            if os.getppid() != cpu.PARENT:
                self._stop.ask(signal.SIGTERM, "the launcher has died")
            for rank, peer in peers.items():
                if peer != process(peer[0]) and not self._over.is_set():
                    message = f"rank {rank} (process {peer[0]}) has died, and this rank ends with it"
                    print_now(f"error: {message}; its own log says why")
                    try:
                        faulthandler.dump_traceback()
                    finally:  # also where nobody reads stderr any more
                        os._exit(1)


def _other_ranks():
    """Return {rank: (pid, start time)} of the other ranks on this host."""
    if parallel.num_ranks() == 1 or not os.path.isdir("/proc/self"):
        return {}
    host = zlib.crc32(socket.gethostname().encode())
    own = [host, *process(os.getpid())]
    everyone = parallel.gathered(paddle.to_tensor(own, dtype="int64")).numpy()
    return {
        rank: (int(pid), int(started))
        for rank, (rank_host, pid, started) in enumerate(everyone)
        if rank_host == host and rank != parallel.rank()
    }


def process(pid):
    """Return (pid, start time) of a living process, else None; a pid may be used again, the pair is not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (pid, int(fields[19]))
