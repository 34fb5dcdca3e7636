"""Trainings in forked processes, killed and gone on with; a script, since Paddle must not have computed.

Paddle takes seconds to start, and forking what has it takes none, so a trial costs its iterations alone.
"""

# ruff: noqa: I001  the package comes first, since it loads zlib before Paddle
import paddleseg  # noqa: F401

import json
import os
import pathlib
import random
import signal
import sys
import time
import traceback

import noisy
import tiny

from paddleseg.checkpoints import folder as atomic
from paddleseg.training.trainer import Trainer
from paddleseg.errors import Stopped

LAST = 12


class Trials:
    """Kills trainings of one kind and compares their ends with that of one never stopped.

    Args:
        folder: a `pathlib.Path` to work in.
        kind: "train" or "distill", of `paddleseg.core.runs`, or "cached", which distils with a teacher cache.
    """

    def __init__(self, folder, kind):
        self.folder = folder
        self.kind = kind
        self.begun = None
        self.given = noisy.write(folder, seconds=0.002, iters=LAST)
        if kind == "cached":  # the other feature is one of the whole batch
            self.given["distill_config"] = tiny.write_distill_file(folder / "one.py", [tiny.feature()])
        pid = self.start("whole")
        self.wait_for_training()
        started = time.monotonic()
        self.wait(pid)
        self.seconds = time.monotonic() - started
        self.whole = self.end("whole")

    def start(self, name, before=None, **flags):
        """Begin or go on with a training in a process of its own; return its id."""
        if self.begun is not None:
            os.close(self.begun)
        self.begun, begins = os.pipe()
        pid = os.fork()
        if pid:
            os.close(begins)
            return pid
        with open(self.folder / f"{name}.log", "a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        try:
            _tell_when_training_begins(begins)
            if before is not None:
                before()
            flags = {**noisy.FLAGS, **flags}
            save_dir = str(self.folder / name)
            if self.kind == "cached":
                flags.update(cache_views=2, teacher_cache=save_dir + "_cache")
            kind = "plain" if self.kind == "train" else "distilled"
            noisy.train(self.given, kind, **flags, save_dir=save_dir, resume_model="auto")
        except Stopped as stopped:
            os._exit(128 + stopped.signum)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    def wait_for_training(self):
        """Wait until the training that was started last is in its loop, or is over."""
        os.read(self.begun, 1)

    def wait(self, pid):
        """Wait for a training to end well."""
        _, status = os.waitpid(pid, 0)
        assert status == 0, f"ended with {status}"

    def kill_at(self, name, seconds):
        """Kill a training that has been in its loop for some seconds, then let it go on to its end.

        Returns:
            Whether it was still running; one that was over counts as no kill.
        """
        pid = self.start(name)
        self.wait_for_training()
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        self.wait(self.start(name))
        return os.waitstatus_to_exitcode(status) == -signal.SIGKILL

    def stop_at(self, name, seconds, signum):
        """Send a signal to a training that has been in its loop for some seconds, then let it go on.

        Returns:
            Its exit status, or minus the signal that ended it.
        """
        pid = self.start(name)
        self.wait_for_training()
        time.sleep(seconds)
        os.kill(pid, signum)
        _, status = os.waitpid(pid, 0)
        self.wait(self.start(name))
        return os.waitstatus_to_exitcode(status)

    def kill_in_save(self, name, call):
        """Kill a training at the n-th call that changes folders or flushes, then let it go on to its end.

        Returns:
            Whether there were so many calls.
        """
        pid = self.start(name, before=lambda: _die_at(call))
        _, status = os.waitpid(pid, 0)
        self.wait(self.start(name))
        return status == signal.SIGKILL

    def end(self, name):
        """Return what a training has come to: all arrays, best scores, losses by iteration, curves."""
        run = self.folder / name
        arrays = {}
        for place in (f"iter_{LAST}", "best_model", "ema_best_model"):
            for path in sorted((run / place).glob("*.pd*")):
                for key, value in tiny.flat_arrays(str(path)).items():
                    arrays[f"{place}/{path.name}/{key}"] = value.tobytes()
        state = json.loads((run / f"iter_{LAST}" / "state.json").read_text())
        return {
            "arrays": arrays,
            "state": {key: state[key] for key in ("iter", "best", "progress", "bad_in_a_row")},
            "losses": tiny.logged_losses((self.folder / f"{name}.log").read_text()),
            "curves": tiny.curves(str(run)),
        }

    def differences(self, name):
        """Return what differs between a training's end and that of the one never stopped."""
        end = self.end(name)
        wrong = [what for what in ("state", "losses", "curves") if end[what] != self.whole[what]]
        keys = set(end["arrays"]) ^ set(self.whole["arrays"])
        keys |= {key for key in self.whole["arrays"] if end["arrays"].get(key) != self.whole["arrays"][key]}
        return wrong + sorted(keys)


def _tell_when_training_begins(pipe):
    fit = Trainer.fit

    def telling(trainer):
        os.write(pipe, b"x")
        return fit(trainer)

    Trainer.fit = telling


def _die_at(call):
    """Make the n-th of the calls by which a folder is written the last one of this process."""
    calls = [0]

    def counted(function):
        def counting(*args, **kwargs):
            calls[0] += 1
            if calls[0] == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return counting

    for module, name in ((os, "rename"), (os, "fsync"), (os, "makedirs"), (atomic.shutil, "rmtree")):
        setattr(module, name, counted(getattr(module, name)))


def main():
    """Run what the arguments say: folder, kind, random kills, calls to die at, stops; print a report."""
    folder, kind, kills, calls, stops = pathlib.Path(sys.argv[1]), *sys.argv[2:]
    trials = Trials(folder, kind)
    rng = random.Random(7)
    report = {"seconds": trials.seconds, "random": [], "saving": [], "stopped": [], "wrong": {}}
    # A moment can come when the training is over, so some are drawn again.
    for i in range(2 * int(kills)):
        if sum(killed for _, killed in report["random"]) == int(kills):
            break
        name, moment = f"random_{i}", rng.uniform(0, trials.seconds)
        report["random"].append([round(moment, 3), trials.kill_at(name, moment)])
        report["wrong"].update({name: wrong} if (wrong := trials.differences(name)) else {})
    for call in map(int, filter(None, calls.split(","))):
        name = f"saving_{call}"
        killed = trials.kill_in_save(name, call)
        report["saving"].append([call, killed])
        report["wrong"].update({name: wrong} if (wrong := trials.differences(name)) else {})
    for i in range(int(stops)):
        name, moment = f"stopped_{i}", rng.uniform(0, trials.seconds)
        report["stopped"].append(trials.stop_at(name, moment, (signal.SIGTERM, signal.SIGINT)[i % 2]))
        report["wrong"].update({name: wrong} if (wrong := trials.differences(name)) else {})
    print(json.dumps(report))


if __name__ == "__main__":
    main()
