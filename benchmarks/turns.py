"""Processes that work turn by turn, so that variants in different environments can take turns.

`Worker` is the side that asks, `Turns` the side that works: a line on stdin asks for a turn, and a line of
JSON answers. Everything else that the working process prints goes to a file, which is shown if it dies.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

from timing import CLOCKS


class Worker:
    """A process that works when it is asked.

    Args:
        command: list of the program and its arguments.
        environment: the whole environment, a dict.

    Attributes:
        preparations: {'memory': {stage: peak in bytes}, 'seconds'}, None before the first turn.
    """

    def __init__(self, command, environment):
        self._command = command
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115  it lives as long as the process
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
            text=True,
        )
        self.preparations = None

    def turn(self):
        """Let the process work once; return {'seconds', 'peak' of resident memory in bytes, ...}.

        Raises:
            RuntimeError: the process has ended; the message holds its last lines.
        """
        if self.preparations is None:
            self.preparations = self._read()
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._output.seek(0)
            last = "".join(self._output.readlines()[-20:])
            raise RuntimeError(f"{' '.join(self._command)} ended with status {status}:\n{last}")
        return json.loads(line)

    def close(self):
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._output.close()


class Turns:
    """The side that works. Once it is made, everything that the process prints goes to stderr.

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
        self._turn_started = None

    def note(self, stage):
        """Record the peak of memory at the end of a stage of the preparations."""
        self._memory[stage] = peak_memory()

    def take(self, call, more=lambda result: {}):
        """Wait for a request, call, answer with the seconds, and return the call's result.

        Args:
            call: takes no arguments.
            more: `more(result) -> dict` of further entries of the answer.

        Raises:
            SystemExit: there are no more requests.
        """
        self.begin()
        result = call()
        self.end(more(result))
        return result

    def begin(self):
        """Wait for a request, and start the clock; `SystemExit` if there are no more requests."""
        if not self._ready:
            self.note("prepared")
            self._answer({"memory": self._memory, "seconds": time.perf_counter() - self._started})
            self._ready = True
        if not sys.stdin.readline():
            raise SystemExit(0)
        self._turn_started = self._now()

    def end(self, more=None):
        """Answer with the seconds since `begin`, and with further entries, a dict."""
        seconds = self._now() - self._turn_started
        self._answer({"seconds": seconds, "peak": peak_memory(), **(more or {})})

    def _answer(self, answer):
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()


def peak_memory(status="/proc/self/status"):
    """Return the peak of this process's resident memory in bytes, None where it is unknown."""
    # A new process inherits the peak that `getrusage` returns from the one that started it.
    try:
        with open(status, encoding="ascii") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None
