"""The share of the gap between teacher and student that each method closes, over several seeds:

python benchmarks/accuracy.py --plan benchmarks/plans/camvid.yml --data data/camvid --out output/accuracy

A plan names the configs of teacher and student and, for each method, what it adds to the student's. Every run
is a process of its own by the toolkit's commands, with equal iterations, batches and seeds. A finished run is
not repeated, so the same command continues an interrupted benchmark.
"""

import argparse
import concurrent.futures
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "benchmarks")]

from paddleseg.commands import process, runtime  # noqa: E402
from paddleseg.errors import UserError, one_line, suggestion  # noqa: E402

PLAIN = "student alone"
PLAN_KEYS = ("teacher", "student", "seeds", "methods")


def main():
    parser = argparse.ArgumentParser(description="Teacher, plain student, one student per method and seed.")
    parser.add_argument("--plan", required=True, help="YAML file: teacher, student, seeds, methods")
    parser.add_argument("--data", required=True, help="folder of the data set")
    parser.add_argument("--out", required=True, help="where runs, results.csv, the table and the plot go")
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="methods to run; default: all")
    parser.add_argument("--seeds", nargs="+", type=int, help="seeds to run; default: the plan's")
    parser.add_argument("--teacher_weights", help="use these instead of training the plan's teacher")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time (default: 1)")
    parser.add_argument("--device", choices=("auto", "gpu", "cpu"), default="auto")
    parser.add_argument("--iters", type=int, help="of teacher and students; for a quick look")
    args = parser.parse_args()
    runtime.prepare()
    import accuracy_report

    plan = read_plan(args.plan)
    bench = Benchmark(plan, args)
    bench.run(chosen(args.only, plan["methods"]), args.seeds or plan["seeds"])
    print(accuracy_report.write(args.out, bench.results(), PLAIN))


def read_plan(path):
    """Return a plan with its configs' paths made absolute.

    Raises:
        UserError: the file cannot be read, or lacks a key.
    """
    try:
        with open(path, encoding="utf-8") as file:
            plan = yaml.safe_load(file)
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"the plan {path} cannot be read: {one_line(error)}") from None
    missing = [key for key in PLAN_KEYS if key not in (plan if isinstance(plan, dict) else {})]
    if missing:
        raise UserError(f"the plan {path} lacks {', '.join(missing)}")
    if PLAIN not in plan["methods"]:
        raise UserError(f"the plan {path}: methods lack {PLAIN!r}, with which all others are compared")
    folder = os.path.dirname(os.path.abspath(path))
    if len({slug(method) for method in plan["methods"]}) < len(plan["methods"]):
        raise UserError(f"the plan {path}: two methods would share a folder, since only signs differ in them")
    return {**plan, **{role: os.path.join(folder, plan[role]) for role in ("teacher", "student")}}


def chosen(names, methods):
    """Return the methods with these names and the plain student, or all methods for None."""
    for name in names or []:
        if name not in methods:
            raise UserError(f"--only: the plan has no method {name!r}; {suggestion(name, methods)}")
    return [name for name in methods if names is None or name in names or name == PLAIN]


class Benchmark:
    """The runs of a plan below one folder; a finished run leaves a `result.json`.

    Args:
        plan: as `read_plan` returns it.
        args: the parsed flags.
    """

    def __init__(self, plan, args):
        self.plan = plan
        self.args = args
        self.teacher = args.teacher_weights
        os.makedirs(os.path.join(args.out, "configs"), exist_ok=True)

    def run(self, methods, seeds):
        """Train what is missing: the teacher, then every method with every seed."""
        if self.teacher is None:
            self.teacher = self._finished(*self._teacher_run())["weights"]
        with concurrent.futures.ThreadPoolExecutor(self.args.jobs) as pool:
            # All methods of a seed come first, so that an interrupted benchmark compares equal seeds.
            runs = [(method, seed, self._student(method, seed)) for seed in seeds for method in methods]
            for done in [pool.submit(self._finished, *run) for run in runs]:
                done.result()

    def results(self):
        """Return the results of the plan's finished runs, a list of dicts in the order of the plan."""
        given = self.args.teacher_weights
        results = [_given_teacher(given) if given else self._result(*self._teacher_run())]
        for method in self.plan["methods"]:
            for folder in glob.glob(os.path.join(self.args.out, f"{slug(method)}_seed*")):
                seed = int(folder.rpartition("_seed")[2])
                results.append(self._result(method, seed, self._student(method, seed)))
        order = ["teacher", *self.plan["methods"]]
        known = [result for result in results if result is not None]
        return sorted(known, key=lambda result: (order.index(result["method"]), result["seed"]))

    def _teacher_run(self):
        return "teacher", 0, self._command(self.plan["teacher"], 0)

    def _student(self, method, seed):
        """Return the command that trains the student by a method."""
        added = self.plan["methods"][method] or {}
        path = os.path.join(self.args.out, "configs", f"{slug(method)}.yml")
        base = os.path.relpath(self.plan["student"], os.path.dirname(path))
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump({"_base_": base, **added}, file, sort_keys=False)
        if method == PLAIN:
            return self._command(path, seed)
        command = [os.path.join(ROOT, "slim/distill/distill_train.py"), "--student_config", path]
        command += ["--teacher_config", self.plan["teacher"]]
        command += ["--teacher_opts", f"model.pretrained={os.path.abspath(self.teacher)}"]
        return command + self._common(seed)

    def _command(self, config, seed):
        return [os.path.join(ROOT, "train.py"), "--config", config, *self._common(seed)]

    def _common(self, seed):
        data = os.path.abspath(self.args.data)
        flags = ["--seed", str(seed), "--device", self.args.device, "--do_eval", "--resume_model", "auto"]
        flags += ["--iters", str(self.args.iters)] if self.args.iters else []
        return [*flags, "--opts", f"train_dataset.dataset_root={data}", f"val_dataset.dataset_root={data}"]

    def _finished(self, method, seed, command):
        """Return the result of a run, trained if there is none."""
        result = self._result(method, seed, command)
        if result is not None:
            return result
        folder, mark = self._folder(method, seed), self._fingerprint(command)
        make_room(folder, mark)
        started = time.time()
        score = self._train(command, folder, once=method != "teacher")
        result = {"method": method, "seed": seed, **score, "seconds": time.time() - started}
        with open(os.path.join(folder, "result.json"), "w", encoding="utf-8") as file:
            json.dump({**result, "fingerprint": mark}, file, indent=1)
        print(f"{method}, seed {seed}: mIoU {result['miou']:.4f} in {result['seconds']:.0f} s", flush=True)
        return result

    def _result(self, method, seed, command):
        """Return the result of a run with this command and these files, None if there is none."""
        path = os.path.join(self._folder(method, seed), "result.json")
        if not os.path.isfile(path):
            return None
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        return result if result["fingerprint"] == self._fingerprint(command) else None

    def _folder(self, method, seed):
        return os.path.join(self.args.out, f"{slug(method)}_seed{seed}")

    def _train(self, command, folder, once):
        """Run a training and return its scores; `once` evaluates it only at its end, as every student."""
        command = [sys.executable, *command, "--save_dir", folder]
        command += ["--save_interval", "1000000" if once else "200", "--keep_checkpoint_max", "2"]
        log = os.path.join(folder, "train.log")
        environment = {**os.environ, **self._threads()}
        with open(log, "a", encoding="utf-8") as file:
            done = subprocess.run(
                command, stdout=file, stderr=subprocess.STDOUT, env=environment, check=False
            )
        if done.returncode:
            raise UserError(f"a run ended with status {done.returncode}; see the end of {log}")
        return scores(os.path.join(folder, "best_model"))

    def _threads(self):
        """Return the environment that divides the cores among simultaneous runs."""
        if self.args.jobs == 1:
            return {}
        return {"OMP_NUM_THREADS": str(max(1, runtime.usable_cores() // self.args.jobs))}

    def _fingerprint(self, command):
        """Return a hash of the command, the configs with their bases, and the teacher's weights."""
        from paddleseg.cvlibs.yaml_file import load_config

        configs = [argument for argument in command if argument.endswith(".yml")]
        text = json.dumps([command[1:], [load_config(path)[0] for path in configs]], sort_keys=True)
        digest = hashlib.sha256(text.encode())
        if "--teacher_config" in command:
            with open(self.teacher, "rb") as file:
                digest.update(file.read())
        return digest.hexdigest()[:16]


def make_room(folder, mark):
    """Empty the folder of a run, unless an interrupted run with the same mark can continue in it."""
    path = os.path.join(folder, "fingerprint")
    if os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
            if file.read() == mark:
                return
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with open(path, "w", encoding="utf-8") as file:
        file.write(mark)


def scores(folder):
    """Return the scores, the number of parameters and the weights of a `best_model` folder, a dict."""
    from paddleseg.evaluation.cost import parameter_count
    from paddleseg.weights.load import read_weights

    with open(os.path.join(folder, "state.json"), encoding="utf-8") as file:
        state = json.load(file)
    weights = os.path.join(folder, "model.pdparams")
    return {
        "miou": state["best_miou"],
        "class_iou": state["best_class_iou"],
        "parameters": parameter_count(read_weights(weights)),
        "weights": weights,
    }


def _given_teacher(weights):
    """Return the result of a teacher that was trained elsewhere, None without its scores beside it."""
    folder = os.path.dirname(weights)
    if not os.path.isfile(os.path.join(folder, "state.json")):
        return None
    return {"method": "teacher", "seed": 0, "seconds": 0.0, **scores(folder)}


def slug(name):
    """Return a name for files, from the name of a method."""
    return re.sub(r"\W+", "_", name).strip("_")


if __name__ == "__main__":
    process.run(main)
