"""The trainings of a plan, each a process of its own in a folder of its own; a finished one is kept."""

import dataclasses
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading

import yaml

import paddleseg
from paddleseg.comparing.plan import PLAIN, TEACHER, slug
from paddleseg.comparing.results import Result, Training, result_of_run, result_of_teacher
from paddleseg.cvlibs import Config, manager
from paddleseg.cvlibs.yaml_file import load_config
from paddleseg.distill.teachers.teacher_only import is_teacher_only
from paddleseg.errors import UserError
from paddleseg.report.rebuild import model_of
from paddleseg.utils.cpu import usable_cores
from paddleseg.utils.logger import logger

_NEVER = 10**9  # as an interval: students are evaluated and saved at their end alone
_TEACHER_INTERVAL = 200
_GIVEN = Training(TEACHER, 0, 0)  # whose weights are given
_COMMAND = "from paddleseg.commands import process, {name}; process.run({name}.main)"


class Trainings:
    """Trains what is missing below one folder.

    Args:
        plan: a `Plan`.
        options: `CompareOptions`.
    """

    def __init__(self, plan, options):
        self.plan = plan
        self.options = options
        self.teacher_weights = options.teacher_weights
        self._running = set()
        try:
            os.makedirs(os.path.join(options.out, "configs"), exist_ok=True)
        except OSError as error:
            raise UserError(f"out {options.out}: the folder cannot be made: {error.strerror}") from None

    def train_teacher(self):
        """Train the teacher, or evaluate the one that is given; return its `Result`, None without logits."""
        if self._brings_own_weights or self.teacher_weights is not None:
            return self._given_teacher()
        result = self.finished(Training(TEACHER, 0))
        self.teacher_weights = result.weights
        return result

    @functools.cached_property
    def _brings_own_weights(self):
        """Whether the teacher is a file of another framework, which nothing trains."""
        cfg = Config(self.plan.teacher, sections=("model",), required=("model",), as_teacher=True)
        return is_teacher_only(manager.MODELS[cfg.model_type])

    def _given_teacher(self):
        weights = self.teacher_weights
        if weights is not None and self._brings_own_weights:
            raise UserError(
                f"teacher_weights {weights}: the teacher of {self.plan.teacher} brings its own weights; "
                f"leave teacher_weights out"
            )
        if weights is not None and not os.path.isfile(weights):
            raise UserError(f"teacher_weights {weights}: there is no such file")
        path = os.path.join(self.options.out, "given_teacher.json")
        mark = self.fingerprint(_GIVEN)
        result = _read(path, _GIVEN, mark)
        if result is None:
            paths = (self.plan.teacher, self.plan.student)
            result = result_of_teacher(_GIVEN, *paths, weights, self._data())
            if result is not None:
                _write(path, result, mark)
                logger.info(f"{weights or self.plan.teacher}: mIoU {result.miou:.4f}")
        return result

    @functools.cached_property
    def _teacher_digest(self):
        """The SHA-256 of the weights that teach, which are known and no longer change."""
        if self.teacher_weights is None:
            return model_of(
                load_config(self.plan.teacher)[0], None, self.plan.teacher, self.plan.teacher
            ).digest
        with open(self.teacher_weights, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def finished(self, training):
        """Return the `Result` of a training, trained now if there is none."""
        mark = self.fingerprint(training)
        result = _read(self._path(training), training, mark)
        if result is not None:
            return result
        folder = self.folder(training)
        _make_room(folder, mark)
        teacher = training.method == TEACHER
        interval = _TEACHER_INTERVAL if teacher else _NEVER
        flags = [
            "--do_eval",
            "--resume_model",
            "auto",
            "--save_interval",
            interval,
            "--keep_checkpoint_max",
            1,
        ]
        logger.info(f"{training.method}, seed {training.seed}: training; {os.path.join(folder, 'train.log')}")
        self.run(training, folder, flags)
        result = result_of_run(training, folder)
        _write(self._path(training), result, mark)
        logger.info(
            f"{training.method}, seed {training.seed}: mIoU {result.miou:.4f} after {result.seconds:.0f} s"
        )
        return result

    def folder(self, training):
        """Return the folder of a training."""
        return os.path.join(self.options.out, training.name)

    def run(self, training, folder, flags):
        """Run a training to its end; its log goes to `train.log` in the folder.

        Raises:
            UserError: it failed.
        """
        command = [*self._command(training), *map(str, flags), "--save_dir", folder, *self._opts()]
        package = os.path.dirname(os.path.dirname(os.path.abspath(paddleseg.__file__)))
        path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        log = os.path.join(folder, "train.log")
        with open(log, "a", encoding="utf-8") as file:
            environment = {**os.environ, "PYTHONPATH": path, **self._threads()}
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        self._running.add(process)
        try:
            status = process.wait()
        finally:
            _end(process)  # if a signal came
            self._running.discard(process)
        if status:
            raise UserError(f"{training.name} ended with status {status}: {_last_line(log)} ({log})")

    def stop(self):
        """Let all running trainings save a checkpoint and end."""
        for process in list(self._running):
            _end(process)

    def _command(self, training):
        distilled = training.method not in (PLAIN, TEACHER)
        command = [sys.executable, "-c", _COMMAND.format(name="distill" if distilled else "train")]
        config = self.plan.teacher if training.method == TEACHER else self._config(training)
        command += ["--student_config" if distilled else "--config", config]
        if distilled:
            command += ["--teacher_config", self.plan.teacher]
            if self.teacher_weights is not None:
                command += ["--teacher_opts", f"model.pretrained={os.path.abspath(self.teacher_weights)}"]
        return [*command, "--seed", str(training.seed), "--device", self.options.device]

    def _config(self, training):
        """Write the config of a student's training; return its path."""
        path = os.path.join(self.options.out, "configs", f"{slug(training.method)}_{training.iters}.yml")
        base = os.path.relpath(self.plan.student, os.path.dirname(path))
        changes = self.plan.changes(training.method, training.iters)
        _replace(path, yaml.safe_dump({"_base_": base, **changes}, sort_keys=False))
        return path

    def _data(self):
        return None if self.options.data is None else os.path.abspath(self.options.data)

    def _opts(self):
        data = self._data()
        roots = [f"{section}.dataset_root={data}" for section in ("train_dataset", "val_dataset")]
        return [] if data is None else ["--opts", *roots]

    def _threads(self):
        """Return the environment that divides the cores among simultaneous trainings."""
        if self.options.jobs == 1:
            return {}
        return {"OMP_NUM_THREADS": str(max(1, usable_cores() // self.options.jobs))}

    def _path(self, training):
        return os.path.join(self.folder(training), "result.json")

    def fingerprint(self, training):
        """Return a hash of what decides a training: seed, device, data, configs, and the teacher's weights.

        The contents of the configs count, and not their paths, so a comparison continues in another
        checkout.
        """
        distilled = training.method not in (PLAIN, TEACHER)
        configs = [self.plan.teacher if training.method == TEACHER else self._config(training)]
        if distilled:
            configs.append(self.plan.teacher)
        if training == _GIVEN:
            configs.append(self.plan.student)  # by whose images the teacher is evaluated
        data = None if self.options.data is None else os.path.realpath(self.options.data)
        dicts = [load_config(path)[0] for path in configs]
        text = json.dumps([training.seed, self.options.device, data, dicts], sort_keys=True)
        digest = hashlib.sha256(text.encode())
        if distilled or training == _GIVEN:
            digest.update(self._teacher_digest.encode())
        return digest.hexdigest()[:16]


def _read(path, training, mark):
    """Return the stored `Result` of a training, None if none with this mark is stored."""
    if not os.path.isfile(path):
        return None
    with open(path, encoding="utf-8") as file:
        stored = json.load(file)
    stored_mark = stored.pop("fingerprint")
    return Result(**{**stored, "training": training}) if stored_mark == mark else None


def _write(path, result, mark):
    _replace(path, json.dumps({**dataclasses.asdict(result), "fingerprint": mark}, indent=1))


def _replace(path, text):
    """Write a file at once, since other trainings may read it and a signal may come."""
    part = f"{path}.{threading.get_ident()}.part"
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(part, path)


def _make_room(folder, mark):
    """Make the folder of a run, unless an interrupted run with the same mark can continue in it.

    A run with another mark is moved aside, since it may be worth hours.
    """
    path = os.path.join(folder, "fingerprint")
    if os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
            if file.read() == mark:
                return
        aside = f"{folder}.replaced"
        logger.warning(
            f"{folder} has a training of another config, teacher or data set; it is moved to {aside}"
        )
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(folder, aside)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with open(path, "w", encoding="utf-8") as file:
        file.write(mark)


def _end(process):
    """Stop a training that still runs by SIGTERM, at which it saves a checkpoint."""
    if process.poll() is None:
        process.terminate()
        process.wait()


def _last_line(log):
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = file.read().strip().splitlines()
    return lines[-1] if lines else "it printed nothing"
