"""Conversions to ONNX without the seconds in which their process imports Paddle.

As a script it is a process that has imported paddle2onnx, and forks for each conversion.
"""

import json
import os
import subprocess
import sys
import tempfile


class Converter:
    """Stands for `subprocess` where ONNX files are written; `run` computes the same in a fork."""

    PIPE, STDOUT = subprocess.PIPE, subprocess.STDOUT

    def __init__(self):
        self._process = None

    def run(self, command, **_):
        """Run [python, "-c", code, *arguments]; return its status, and what it prints to both streams."""
        if self._process is None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self._process = subprocess.Popen([sys.executable, __file__], text=True, **pipes)
        print(json.dumps([os.getcwd(), *command[2:]]), file=self._process.stdin, flush=True)
        status, printed = json.loads(self._process.stdout.readline())
        return subprocess.CompletedProcess(command, status, printed)

    def close(self):
        """End the process, if there is one."""
        if self._process is not None:
            self._process.communicate()


def serve():
    """Answer each line of stdin, [folder, code, *arguments], with a line [status, what the code prints]."""
    import paddle2onnx  # noqa: F401  the forks have it

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        with tempfile.TemporaryFile() as file:
            pid = os.fork()
            if pid == 0:
                run_in_fork(file, *json.loads(line))
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            file.seek(0)
            print(json.dumps([status, file.read().decode(errors="replace")]), file=answers, flush=True)


def run_in_fork(file, folder, code, *arguments):
    """Run code as `python -c` does, and end this process."""
    status = 1
    try:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        os.chdir(folder)
        sys.argv = ["-c", *arguments]
        exec(code, {"__name__": "__main__"})
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
