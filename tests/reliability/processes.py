"""Commands as processes of their own, one or several ranks, to be signalled and killed."""

import os
import signal
import socket
import subprocess
import sys
import time

import tiny

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
ROOT = os.path.dirname(TESTS)


class Job:
    """The ranks of one training, started without a launcher so that each one's status is seen.

    Args:
        folder: where it runs and its logs go.
        script: a command of the project.
        flags: list of its flags.
        ranks: the number of processes.
        parent: let a process in between start the ranks, as a launcher does; `parent` is its id then.
    """

    def __init__(self, folder, script, flags, ranks=1, parent=False):
        self.folder = folder
        self.logs = [folder / f"rank_{rank}.log" for rank in range(ranks)]
        command = [sys.executable, "-W", "ignore", os.path.join(ROOT, script), *map(str, flags)]
        if parent:
            command = [sys.executable, os.path.join(HERE, "parent.py"), *command]
        ports = free_ports(ranks)
        self.processes = []
        for rank, log in enumerate(self.logs):
            with open(log, "w", encoding="utf-8") as file:
                environment = {**os.environ, **self._environment(rank, ports)}
                self.processes.append(
                    subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)
                )

    @staticmethod
    def _environment(rank, ports):
        path = os.pathsep.join([ROOT, TESTS, HERE])
        environment = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        if len(ports) > 1:
            endpoints = [f"127.0.0.1:{port}" for port in ports]
            environment.update(
                PADDLE_TRAINER_ID=str(rank),
                PADDLE_TRAINERS_NUM=str(len(ports)),
                PADDLE_TRAINER_ENDPOINTS=",".join(endpoints),
                PADDLE_CURRENT_ENDPOINT=endpoints[rank],
                PADDLE_DISTRI_BACKEND="gloo",
            )
        return environment

    def log(self, rank=0):
        return self.logs[rank].read_text(encoding="utf-8")

    def wait_for(self, text, rank=0, seconds=120):
        """Wait until a rank has logged some text."""
        end = time.monotonic() + seconds
        while text not in self.log(rank):
            ended = self.processes[rank].poll()
            assert ended is None, f"ended with {ended}:\n{self.log(rank)[-3000:]}"
            assert time.monotonic() < end, f"{text!r} is not logged:\n{self.log(rank)[-3000:]}"
            time.sleep(0.02)

    def statuses(self, seconds=60):
        """Wait for all ranks to end; return their statuses, and kill those that have not."""
        end = time.monotonic() + seconds
        try:
            return [process.wait(max(end - time.monotonic(), 0.01)) for process in self.processes]
        finally:
            for process in self.processes:
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def kill(self, rank):
        self.processes[rank].kill()
        self.processes[rank].wait()

    def signal(self, rank, signum):
        self.processes[rank].send_signal(signum)


def free_ports(count):
    """Return as many ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def children(pid):
    """Return the ids of the living child processes of a process."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(entry))
    return found


def gone(pids, seconds=15):
    """Wait for processes that are not ours to end; tell whether they did."""
    end = time.monotonic() + seconds
    while any(os.path.isdir(f"/proc/{pid}") for pid in pids) and time.monotonic() < end:
        time.sleep(0.1)
    return not any(os.path.isdir(f"/proc/{pid}") for pid in pids)


def ends(folder, iteration):
    """Return the arrays that the last checkpoint of a run holds, by file."""
    last = folder / f"iter_{iteration}"
    return {
        f"{path.name} {key}": value.tobytes()
        for path in sorted(last.glob("*.pd*"))
        for key, value in tiny.flat_arrays(str(path)).items()
    }


TERM, INT = signal.SIGTERM, signal.SIGINT
