"""Processes that are kept alive and asked turn by turn, so that what takes turns can differ in environment.

`Worker` is the end that asks, `Turns` the end that works: a line on stdin asks for a turn, a line of JSON
answers it. Whatever else the working process prints goes to a file, which is told if the process dies.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

from timing import CLOCKS


class Worker:
    """A process that works whenever it is asked.

    Args:
        command: list of the program and its arguments.
        environment: dict, all of it.
    """

    def __init__(self, command, environment):
        self._command = command
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  it lives as long as the process
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        self.about = None

    def turn(self):
        """Let the process work once; return {'seconds', 'peak' of resident memory in bytes, ...}.

        Raises:
            RuntimeError: the process has ended; what it said last is told.
        """
        if self.about is None:
            self.about = self._read()
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._said.seek(0)
            said = "".join(self._said.readlines()[-20:])
            raise RuntimeError(f"{' '.join(self._command)} ended with status {status}:\n{said}")
        return json.loads(line)

    def close(self):
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._said.close()


class Turns:
    """The working end; from when it is made, all that the process prints goes to stderr.

    Args:
        clock: as in `timing.timed`.
    """

    def __init__(self, clock="wall"):
        self._now = CLOCKS[clock]
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._started = time.perf_counter()
        self._memory = {}
        self._ready = False

    def note(self, stage):
        """Note the peak of memory at the end of a stage of the preparations."""
        self._memory[stage] = peak_memory()

    def take(self, call, tell=lambda result: {}):
        """Wait until asked, call, answer with the seconds, and return what the call returned.

        Args:
            call: takes nothing.
            tell: `tell(result) -> dict` of what the answer says beside, of what the call returned.

        Raises:
            SystemExit: nobody asks any more.
        """
        if not self._ready:
            self.note("prepared")
            self._say({"memory": self._memory, "preparations": time.perf_counter() - self._started})
            self._ready = True
        if not sys.stdin.readline():
            raise SystemExit(0)
        started = self._now()
        result = call()
        seconds = self._now() - started
        self._say({"seconds": seconds, "peak": peak_memory(), **tell(result)})
        return result

    def _say(self, answer):
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()


def peak_memory(status="/proc/self/status"):
    """Return the most resident memory, in bytes, that this process has had so far; None where unknown."""
    # Not getrusage's: a new process inherits that of the one that started it.
    try:
        with open(status, encoding="ascii") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None
