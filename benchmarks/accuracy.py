"""How much of the gap between teacher and student each distillation method recovers, over several seeds:

python benchmarks/accuracy.py --plan benchmarks/plans/camvid.yml --data data/camvid --out output/accuracy

A plan names the teacher's and the student's config and, for each method, what it adds to the student's. Every
run is a process of its own by the toolkit's own commands, with equal iterations, batches and seeds. What is
finished is not run again, so that an interrupted benchmark goes on by the same command.
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
from paddleseg.errors import UserError, suggestion  # noqa: E402

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
        raise UserError(f"the plan {path} cannot be read: {' '.join(str(error).split())}") from None
    missing = [key for key in PLAN_KEYS if key not in (plan if isinstance(plan, dict) else {})]
    if missing:
        raise UserError(f"the plan {path} lacks {', '.join(missing)}")
    if PLAIN not in plan["methods"]:
        raise UserError(f"the plan {path}: methods lack {PLAIN!r}, with which all others are compared")
    folder = os.path.dirname(os.path.abspath(path))
    if len({slug(method) for method in plan["methods"]}) < len(plan["methods"]):
        raise UserError(
            f"the plan {path}: two methods differ in signs alone, so that their folders would be one"
        )
    return {**plan, **{role: os.path.join(folder, plan[role]) for role in ("teacher", "student")}}


def chosen(names, methods):
    """Return the methods of these names, all for None, the plain student always among them."""
    for name in names or []:
        if name not in methods:
            raise UserError(f"--only: the plan has no method {name!r}; {suggestion(name, methods)}")
    return [name for name in methods if names is None or name in names or name == PLAIN]


class Benchmark:
    """The runs of a plan below one folder; each leaves a `result.json` when it is finished.

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
        """Train what is not there yet: the teacher, then every method with every seed."""
        if self.teacher is None:
            self.teacher = self._finished(*self._teacher_run())["weights"]
        with concurrent.futures.ThreadPoolExecutor(self.args.jobs) as pool:
            # All methods of a seed first: a stopped benchmark then compares like with like.
            runs = [(method, seed, self._student(method, seed)) for seed in seeds for method in methods]
            for done in [pool.submit(self._finished, *run) for run in runs]:
                done.result()

    def results(self):
        """Return the finished runs of the plan as it is now, a list of dicts in its order."""
        given = self.args.teacher_weights
        found = [_given_teacher(given) if given else self._result(*self._teacher_run())]
        for method in self.plan["methods"]:
            for folder in glob.glob(os.path.join(self.args.out, f"{slug(method)}_seed*")):
                seed = int(folder.rpartition("_seed")[2])
                found.append(self._result(method, seed, self._student(method, seed)))
        order = ["teacher", *self.plan["methods"]]
        known = [result for result in found if result is not None]
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
        """Return the result of a run, after training it unless it is there already."""
        result = self._result(method, seed, command)
        if result is not None:
            return result
        folder, mark = self._folder(method, seed), self._fingerprint(command)
        self._make_room(folder, mark)
        started = time.time()
        score = self._train(command, folder, once=method != "teacher")
        result = {"method": method, "seed": seed, **score, "seconds": time.time() - started}
        with open(os.path.join(folder, "result.json"), "w", encoding="utf-8") as file:
            json.dump({**result, "fingerprint": mark}, file, indent=1)
        print(f"{method}, seed {seed}: mIoU {result['miou']:.4f} in {result['seconds']:.0f} s", flush=True)
        return result

    def _result(self, method, seed, command):
        """Return the result that a run has left, or None if there is none of this command and its files."""
        path = os.path.join(self._folder(method, seed), "result.json")
        if not os.path.isfile(path):
            return None
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        return result if result["fingerprint"] == self._fingerprint(command) else None

    def _folder(self, method, seed):
        return os.path.join(self.args.out, f"{slug(method)}_seed{seed}")

    @staticmethod
    def _make_room(folder, mark):
        """Keep what an interrupted run of the same mark has left, which goes on from there; else empty."""
        path = os.path.join(folder, "fingerprint")
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                if file.read() == mark:
                    return
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        with open(path, "w", encoding="utf-8") as file:
            file.write(mark)

    def _train(self, command, folder, once):
        """Run a training and return its scores; a student is evaluated `once`, at its end, all alike."""
        command = [sys.executable, *command, "--save_dir", folder]
        command += ["--save_interval", "1000000" if once else "200", "--keep_checkpoint_max", "2"]
        log = os.path.join(folder, "train.log")
        with open(log, "a", encoding="utf-8") as file:
            environment = {**os.environ, **self._threads()}
            status = subprocess.run(
                command, stdout=file, stderr=subprocess.STDOUT, env=environment, check=False
            ).returncode
        if status:
            raise UserError(f"a run ended with status {status}; see the end of {log}")
        return scores(os.path.join(folder, "best_model"))

    def _threads(self):
        """Return the environment that shares the cores among runs at the same time."""
        if self.args.jobs == 1:
            return {}
        return {"OMP_NUM_THREADS": str(max(1, runtime.usable_cores() // self.args.jobs))}

    def _fingerprint(self, command):
        """Return a hash of what a run depends on: its command, its configs with their bases, its teacher."""
        from paddleseg.cvlibs.yaml_file import load_config

        configs = [argument for argument in command if argument.endswith(".yml")]
        text = json.dumps([command[1:], [load_config(path)[0] for path in configs]], sort_keys=True)
        digest = hashlib.sha256(text.encode())
        if "--teacher_config" in command:
            with open(self.teacher, "rb") as file:
                digest.update(file.read())
        return digest.hexdigest()[:16]


def scores(folder):
    """Return what a table shows of a `best_model` folder: its scores, parameters and weights."""
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
    """Return the result of a teacher that was trained elsewhere, None where its scores are not beside it."""
    folder = os.path.dirname(weights)
    if not os.path.isfile(os.path.join(folder, "state.json")):
        return None
    return {"method": "teacher", "seed": 0, "seconds": 0.0, **scores(folder)}


def slug(name):
    """Return a method's name as a name for files."""
    return re.sub(r"\W+", "_", name).strip("_")


if __name__ == "__main__":
    process.run(main)
