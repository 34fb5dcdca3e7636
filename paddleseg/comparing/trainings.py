"""The trainings of a plan, each a process of its own in a folder of its own; a finished one is kept."""

import dataclasses
import functools
import hashlib
import json
import os
import signal
import subprocess
import sys

import yaml

import paddleseg
from paddleseg import parallel
from paddleseg.checkpoints.resume import file_list_digests
from paddleseg.comparing.plan import TEACHER, slug
from paddleseg.comparing.results import Training, result_of_run, result_of_teacher
from paddleseg.comparing.storage import make_room, read_result, write_result
from paddleseg.cvlibs import Config, SegBuilder, manager
from paddleseg.cvlibs.yaml_file import load_config, quoted_path
from paddleseg.distill.teachers.engine_choice import AUTO, PADDLE, check_engine
from paddleseg.distill.teachers.teacher_only import gives_logits, is_teacher_only
from paddleseg.errors import UserError
from paddleseg.report.rebuild import model_of
from paddleseg.report.runs import WEIGHTS
from paddleseg.utils.cpu import usable_cores
from paddleseg.utils.logger import logger
from paddleseg.utils.replace_file import replace_file

_NEVER = 10**9  # as an interval: students are evaluated and saved at their end alone
_TEACHER_INTERVAL = 200
_GIVEN = Training(TEACHER, 0, 0)  # whose weights are given
_REFUSED = 2  # the exit status of a command whose input is wrong
# `paddleseg-distill` without its default of `--distill_config`, since a plan names all losses.
_COMMAND = (
    "import sys; from paddleseg.commands import __main__ as m; m.process.run(lambda: m.call(sys.argv[1]))"
)
_LABELLED = ("train_dataset", "val_dataset")
_DATA = (*_LABELLED, "unlabeled_dataset")


class RefusedError(UserError):
    """A training's config or flags are wrong."""


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
        self._running, self._stopped = set(), False
        self._lists = {}  # those of `_file_lists` that are known
        # From its real path, so that the modules of its `imports` are found when its runs are evaluated.
        Config(plan.student, opts=self._opts("val_dataset"), sections=("val_dataset",))
        try:
            os.makedirs(os.path.join(options.out, "configs"), exist_ok=True)
        except OSError as error:
            raise UserError(f"out {options.out}: the folder cannot be made: {error.strerror}") from None

    def check_teacher(self):
        """Check what is known of the teacher before it is trained.

        Raises:
            UserError: its weights do not exist, or are given although it brings its own; or its engine is
                unknown or does not compute on this machine.
        """
        path, weights = self.plan.teacher, self.teacher_weights
        if self._own_model is None:
            check_engine(self.options.teacher_engine)
            if weights is not None and not os.path.isfile(weights):
                raise UserError(f"teacher_weights {weights}: there is no such file")
        elif weights is not None:
            raise UserError(
                f"teacher_weights {weights}: the teacher of {path} brings its own weights; leave out "
                f"teacher_weights"
            )

    def train_teacher(self):
        """Train the teacher unless it is given, and evaluate it on its students' images.

        Returns:
            Its `Result`, None if it cannot be evaluated.
        """
        if self._own_model is None and self.teacher_weights is None:
            result = self.finished(Training(TEACHER, 0))
            self.teacher_weights = result.weights
            scored = self._given_teacher()  # on the images of its students, which may have another size
            if scored is None:
                return None
            # A report shows the score in the run's own folder.
            folder = result.folder if scored.miou == result.miou else None
            return dataclasses.replace(
                scored, training=result.training, folder=folder, seconds=result.seconds
            )
        if self._own_model is not None and not gives_logits(self._own_model):
            return None
        return self._given_teacher()

    @property
    def engine_may_differ(self):
        """Whether a long training may compute the teacher by another engine than a short one."""
        return self._own_model is None and self.options.teacher_engine == AUTO and parallel.on_cpu()

    @functools.cached_property
    def _own_model(self):
        """The teacher's model if it is a file of another framework, which nothing trains; else None."""
        path = self.plan.teacher
        cfg = Config(path, sections=("model",), required=("model",), as_teacher=True)
        own = is_teacher_only(manager.MODELS[cfg.model_type])
        return model_of(load_config(path)[0], None, path, path) if own else None

    def _given_teacher(self):
        weights = self.teacher_weights
        path = os.path.join(self.options.out, "given_teacher.json")
        mark = self.fingerprint(_GIVEN)
        result = read_result(path, _GIVEN, mark)
        if result is None:
            paths = (self.plan.teacher, self.plan.student)
            result = result_of_teacher(_GIVEN, *paths, weights, self._data())
            if result is not None:
                write_result(path, result, mark)
                logger.info(f"{weights or self.plan.teacher}: mIoU {result.miou:.4f}")
        return result

    @functools.cached_property
    def _teacher_digest(self):
        """The SHA-256 of the weights that teach, which are known and no longer change."""
        if self._own_model is not None:
            return self._own_model.digest
        with open(self.teacher_weights, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def finished(self, training):
        """Return the `Result` of a training, trained now if there is none."""
        mark = self.fingerprint(training)
        folder = self.folder(training)
        make_room(folder, mark)
        result = read_result(self._path(training), training, mark)
        if result is not None:
            # The comparison may have been moved since.
            return dataclasses.replace(result, folder=folder, weights=os.path.join(folder, WEIGHTS))
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
        write_result(self._path(training), result, mark)
        logger.info(
            f"{training.method}, seed {training.seed}: mIoU {result.miou:.4f} after {result.seconds:.0f} s"
        )
        return result

    def folder(self, training):
        """Return the folder of a training."""
        return os.path.join(self.options.out, training.name)

    def run(self, training, folder, flags, name=None):
        """Run a training to its end; its log goes to `train.log` in the folder.

        Args:
            training: a `Training`.
            folder: an existing folder.
            flags: flags of the command, in addition to those of every training.
            name: what a message calls it. Default: the training's name.

        Raises:
            RefusedError: its config or its flags are wrong.
            UserError: it failed in another way.
        """
        opts = self._opts(*_LABELLED)
        command = [*self._command(training), *map(str, flags), "--save_dir", folder]
        command += ["--opts", *opts] if opts else []
        package = os.path.dirname(os.path.dirname(os.path.abspath(paddleseg.__file__)))
        path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        log = os.path.join(folder, "train.log")
        with open(log, "a", encoding="utf-8") as file:
            environment = {**os.environ, "PYTHONPATH": path, **self._threads()}
            if self._stopped:
                raise UserError(f"{name or training.name} was not begun, since the comparison was stopped")
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        self._running.add(process)
        if self._stopped:  # since it was looked at
            _end(process)
        try:
            status = process.wait()
        finally:
            _end(process)  # if a signal came
            self._running.discard(process)
        if status:
            kind = RefusedError if status == _REFUSED else UserError
            hint = " (SIGKILL; was there too little memory?)" if status == -signal.SIGKILL else ""
            end = f"ended with status {status}{hint}: {_last_line(log)} ({log})"
            raise kind(f"{name or training.name} {end}")

    def rehearse(self, method, folder):
        """Make a dry run of the training of a method; its log goes to `folder`.

        A teacher that is yet to be trained has random weights.

        Raises:
            RefusedError: the method, or something that it shares with the others, is wrong.
            UserError: the dry run failed in another way.
        """
        training = Training(method, 0, self.plan.iters)
        flags = ["--dry_run", "--do_eval"]
        if training.distilled and self._own_model is None:
            if self.teacher_weights is None:
                flags += ["--allow_random_teacher"]
            if self.options.teacher_engine == AUTO:
                flags += ["--teacher_engine", PADDLE]  # without measurements
        self.run(training, folder, flags, f"the dry run of {method}")

    def stop(self):
        """Let all running trainings save a checkpoint and end, and begin no other."""
        self._stopped = True
        _end(*self._running)

    def _command(self, training):
        command = [sys.executable, "-c", _COMMAND, "distill" if training.distilled else "train"]
        config = self.plan.teacher if training.method == TEACHER else self._config(training)
        command += ["--student_config" if training.distilled else "--config", config]
        if training.distilled:
            command += ["--teacher_config", self.plan.teacher]
            if self.teacher_weights is not None:
                command += [
                    "--teacher_opts",
                    f"model.pretrained={quoted_path(os.path.abspath(self.teacher_weights))}",
                ]
        for name, engine in self._engines(training).items():
            command += [f"--{name}", engine]
        return [*command, "--seed", str(training.seed), "--device", self.options.device]

    def _engines(self, training):
        """Return {flag: engine} of a training, without those that are "auto"."""
        names = ["conv_engine"]
        # A teacher that is a file of another framework brings its own engine.
        if training.distilled and self._own_model is None:
            names.append("teacher_engine")
        engines = {name: getattr(self.options, name) for name in names}
        return {name: engine for name, engine in engines.items() if engine != AUTO}

    def _config(self, training):
        """Write the config of a student's training; return its path."""
        path = os.path.join(self.options.out, "configs", f"{slug(training.method)}_{training.iters}.yml")
        base = os.path.relpath(self.plan.student, os.path.dirname(path))
        changes = self.plan.changes(training.method, training.iters)
        replace_file(path, yaml.safe_dump({"_base_": base, **changes}, sort_keys=False))
        return path

    def _data(self):
        """The folder of the data, whose name does not depend on links that lead to it; None without one."""
        return None if self.options.data is None else os.path.realpath(self.options.data)

    def _opts(self, *sections):
        """Return the changes of a config, as `Config` takes them, that name the data set."""
        data = self._data()
        return [] if data is None else [f"{section}.dataset_root={quoted_path(data)}" for section in sections]

    def _threads(self):
        """Return the environment that divides the cores among simultaneous trainings."""
        if self.options.jobs == 1:
            return {}
        return {"OMP_NUM_THREADS": str(max(1, usable_cores() // self.options.jobs))}

    def _path(self, training):
        return os.path.join(self.folder(training), "result.json")

    def fingerprint(self, training):
        """Return a hash. Trainings with the same hash have the same outcome.

        The hash covers the seed, the kind of device, the path of the data set and its lists of files, the
        contents of the configs, the weights of the teacher, and the engines that are named. It does not cover
        the paths of the configs. So a comparison continues in another checkout that uses the same folder of
        data.
        """
        digest = self._digest_without_weights(training)
        if training.distilled or training == _GIVEN:
            digest.update(self._teacher_digest.encode())
        for name, engine in self._engines(training).items():
            digest.update(f"{name} {engine}".encode())  # engines round differently
        return digest.hexdigest()[:16]

    def rehearsal_mark(self, method):
        """Return a hash. A method whose hash is unchanged needs no new dry run.

        The hash covers what `fingerprint` covers, with the path of the teacher's weights in place of their
        content.
        """
        training = Training(method, 0, self.plan.iters)
        digest = self._digest_without_weights(training)
        digest.update(f"{self._engines(training)} {self.teacher_weights}".encode())
        return digest.hexdigest()[:16]

    def _digest_without_weights(self, training):
        # The first config is the one whose data is read.
        if training == _GIVEN:
            configs = [self.plan.student, self.plan.teacher]
        elif training.distilled:
            configs = [self._config(training), self.plan.teacher]
        else:
            configs = [self.plan.teacher if training.method == TEACHER else self._config(training)]
        dicts = [load_config(path)[0] for path in configs]
        lists = self._file_lists(configs[0], dicts[0])
        device = "cpu" if parallel.on_cpu() else "gpu"
        text = json.dumps([training.seed, device, self._data(), dicts, lists], sort_keys=True)
        return hashlib.sha256(text.encode())

    def _file_lists(self, path, config):
        """Return what tells the lists of files of a config's data sets from others, a dict."""
        sections = [name for name in _DATA if config.get(name)]
        key = json.dumps({name: config[name] for name in sections}, sort_keys=True)
        if key not in self._lists:
            opts = self._opts(*(name for name in _LABELLED if name in sections))
            builder = SegBuilder(Config(path, opts=opts, sections=sections))
            self._lists[key] = file_list_digests(**{name: getattr(builder, name) for name in sections})
        return self._lists[key]


def _end(*processes):
    """Stop the trainings that still run by SIGTERM, at which each saves a checkpoint."""
    running = [process for process in processes if process.poll() is None]
    # All at once: Ctrl-C has signalled all of them, and a second signal some seconds later would end a
    # training without saving.
    for process in running:
        process.terminate()
    for process in running:
        process.wait()


def _last_line(log):
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = file.read().strip().splitlines()
    return lines[-1] if lines else "it printed nothing"
